//! What relays that work at the same time take from the outbox.

use std::time::Duration;

use restaurant_system::domain::{CookTimes, OrderNumber, OrderType};
use restaurant_system::store::{AnnouncementContent, Claim, Finish, IntakeRequest, OutboxBatch, Placed};

use crate::sim::orders::form;
use crate::support::{TestEnv, eventually};

/// An order with three changes to be announced.
const ORDER: &str = "
with o as (
    insert into orders (number, customer_name, type, total_amount, status, processed_by, completed_at)
    values ('ORD_20260101_001', 'Ada Lovelace', 'takeout', 9.99, 'completed', 'chef_anna', now()) returning id
), l as (
    insert into order_status_log (order_id, status, changed_by)
    select o.id, s.status, 'chef_anna'
    from o, unnest(array['received', 'cooking', 'ready', 'completed']) with ordinality as s (status, place)
    order by s.place returning id, order_id, status
)
insert into outbox (log_id, order_id, announces) select id, order_id, 'status' from l where status <> 'received'";
const OTHER_RELAY: &str = "
begin;
select from outbox join order_status_log on id = log_id where status = 'ready' for update of outbox";

fn changes(batch: &OutboxBatch) -> Vec<&'static str> {
    let changes = batch.announcements().iter();
    changes
        .map(|announcement| match &announcement.content {
            AnnouncementContent::Status(status) => status.status.as_str(),
            AnnouncementContent::Order(_) => "received",
        })
        .collect()
}

#[tokio::test]
async fn a_change_waits_for_each_earlier_one_that_another_relay_has_in_hand() {
    let env = TestEnv::new().await;
    let (db, other_relay) = (env.connect().await, env.connect().await);
    db.batch_execute(ORDER).await.unwrap();
    other_relay.batch_execute(OTHER_RELAY).await.unwrap();
    let store = env.store(Duration::from_secs(30)).await;
    let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
    // Not the last one, although it is free: that in between is not announced yet.
    assert_eq!((changes(&batch), batch.locked()), (vec!["cooking"], 2));
    drop(batch);
    other_relay.batch_execute("rollback").await.unwrap();
    eventually("the rows to be free", async || {
        let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
        changes(&batch) == ["cooking", "ready", "completed"]
    })
    .await;
}

#[tokio::test]
async fn what_a_process_has_just_written_is_announced_as_it_is_read_back() {
    let env = TestEnv::new().await;
    let store = env.store(Duration::from_secs(30)).await;
    let (mut rng, chef) = (fastrand::Rng::with_seed(1), "chef_anna".parse().unwrap());
    let requests: Vec<IntakeRequest> = (0..6)
        .map(|n| IntakeRequest {
            order: form(&mut rng),
            request_id: format!("request {n}"),
            traceparent: (n % 2 == 0).then(|| format!("00-{n:032x}-{n:016x}-01")),
            idempotency: None,
        })
        .collect();
    let placed = store.place_orders(&requests).await.unwrap();
    let numbers: Vec<OrderNumber> = placed
        .into_iter()
        .map(|placed| match placed {
            Placed::New(order) => order.number,
            other => panic!("{other:?}"),
        })
        .collect();
    let claim = Claim {
        worker: chef,
        order_types: OrderType::ALL.to_vec(),
        cook_times: CookTimes::uniform(Duration::from_secs(5)),
    };
    let claimed = store.claim_orders(&claim, &numbers[..4]).await.unwrap();
    let finished: Vec<Finish> = claimed[..2]
        .iter()
        .map(|order| Finish { number: order.number.clone(), attempt: order.attempt })
        .collect();
    assert_eq!(store.finish_orders(&claim.worker, &finished).await.unwrap().len(), 2);

    let known = store.lock_outbox(100, Duration::ZERO).await.unwrap();
    let known_announcements = known.announcements().to_vec();
    assert_eq!(known_announcements.len(), 12);
    drop(known);
    // It is handed out once; after that the tables are asked.
    eventually("the rows to be free", async || {
        store.lock_outbox(100, Duration::ZERO).await.unwrap().announcements() == known_announcements
    })
    .await;
}
