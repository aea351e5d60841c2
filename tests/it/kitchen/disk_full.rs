//! PostgreSQL's disk is full: nothing is taken that could not be kept, and nothing is given up.

use super::kit::{Kit, SHORT_GRACE, holds_for};
use crate::support::takeout;
use std::time::Duration;

/// Every change of an order is answered like PostgreSQL does when a table cannot grow.
const FULL: &str = "
create function disk_full() returns trigger language plpgsql as $$
begin
    raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
end $$;
create trigger disk_full before insert on order_status_log for each row execute function disk_full()";
const ROOM: &str = "drop trigger disk_full on order_status_log";

#[tokio::test]
async fn a_full_disk_refuses_new_orders_and_delays_the_others() {
    let kit = Kit::with(SHORT_GRACE).await;
    let chef = kit.working("chef_anna", &["--order-types", "takeout", "--cook-seconds", "0.5"]).await;
    let cooking = kit.place("takeout").await;
    let waiting = kit.place("delivery").await;
    kit.wait_cooked_by(&cooking, "chef_anna").await;
    kit.db.batch_execute(FULL).await.unwrap();

    let refused = kit.http.post(&takeout()).await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    // One that cannot finish what it has, and one that cannot claim what comes.
    let late = kit.working("chef_mario", &["--order-types", "delivery"]).await;
    holds_for(Duration::from_secs(1), "nothing moves", || async {
        kit.status(&cooking).await == "cooking" && kit.status(&waiting).await == "received"
    })
    .await;

    kit.db.batch_execute(ROOM).await.unwrap();
    kit.wait_ready(&[cooking.clone(), waiting.clone()]).await;
    for number in [&cooking, &waiting] {
        assert_eq!(kit.statuses(number).await, ["received", "cooking", "ready"]);
    }
    assert_eq!(kit.env.rabbit.queue_depth("kitchen_dead_letters").await, 0);
    assert!(kit.place("takeout").await.ends_with("_003"), "the refused order took a number");
    for role in [&chef, &late] {
        assert_eq!(role.logs_of("message_processing_failed").len(), 0, "{:?}", role.output());
    }
}
