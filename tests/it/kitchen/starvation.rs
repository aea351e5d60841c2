//! No order starves: one that has waited for long goes before all that have waited for less, whatever their priority.

use super::kit::Kit;
use crate::support::{TestEnv, eventually_ok, order_of, with};
use serde_json::json;

/// An order is promoted after 2 s. Only messages bring orders to a worker.
const FED: &str = "kitchen:\n  promote_after_seconds: 2\n  grace_seconds: 600\n";
/// The same with sweeps.
const SWEPT: &str = "kitchen:\n  promote_after_seconds: 2\n  grace_seconds: 0.2\n";
/// Urgent orders: some for a while, and then more than a worker cooks in 10 s.
const URGENT: [usize; 2] = [10, 50];
/// A fed worker's sweeps alone would not cook these in time: there is one every two seconds.
const SLOW: usize = 6;
const COOKING: [&str; 2] = ["--cook-seconds", "0.2"];
/// For two of them.
const SLOW_COOKING: [&str; 2] = ["--cook-seconds", "0.4"];

/// Urgent orders, behind them some that are not, and then more urgent ones; those that are not.
async fn rush(kit: &Kit, slow: usize) -> Vec<String> {
    let costing = |price: f64| with(&order_of("takeout"), "/items/0/price", json!(price));
    let (urgent, not_urgent) = (costing(120.0), costing(15.0));
    let place = |order, count| futures_util::future::join_all((0..count).map(move |_| kit.http.place(order)));
    place(&urgent, URGENT[0]).await;
    let mut numbers = place(&not_urgent, slow).await;
    place(&urgent, URGENT[1]).await;
    numbers.sort_unstable();
    numbers
}

/// Waits until all of these orders are in somebody's hands, and looks at what was begun before them.
async fn assert_promoted(kit: &Kit, slow: &[String]) {
    eventually_ok("the slow ones are cooked", || async {
        let sql = "select count(*) from orders where status = 'received' and number = any($1)";
        let waiting: i64 = kit.db.query_one(sql, &[&slow]).await.unwrap().get(0);
        if waiting == 0 { Ok(()) } else { Err(waiting) }
    })
    .await;
    let sql = "select count(*) filter (where o.status = 'received') as waiting,
            count(*) filter (where o.id > s.last and o.claimed_at < s.last_claimed_at and o.claimed_at > s.created_at + interval '6 s') as passed,
            s.waited_s, s.in_turn
        from orders o, (
            select max(claimed_at) as last_claimed_at, max(created_at) as created_at, max(id) as last,
                extract(epoch from min(claimed_at - created_at))::float8 as waited_s,
                (array_agg(claimed_at order by id))[1] <= (array_agg(claimed_at order by id desc))[1] as in_turn
            from orders where number = any($1)
        ) as s
        where o.number <> all($1) group by s.waited_s, s.in_turn";
    let row = kit.db.query_one(sql, &[&slow]).await.unwrap();
    let (waiting, passed, waited_s): (i64, i64, f64) =
        (row.get("waiting"), row.get("passed"), row.get("waited_s"));
    assert!(waiting > 0, "they were cooked when nothing else was left");
    assert!(waited_s > 1.9, "one was cooked after {waited_s} s, before its time");
    assert_eq!(passed, 0, "more urgent orders went before them although they were due");
    assert!(row.get::<_, bool>("in_turn"), "the oldest goes first");
}

#[tokio::test]
async fn a_worker_that_messages_feed_cooks_the_order_that_has_waited_for_long() {
    let kit = Kit::with(FED).await;
    let _chef = kit.working("chef_anna", &COOKING).await;
    let slow = rush(&kit, SLOW).await;
    assert_promoted(&kit, &slow).await;
}

#[tokio::test]
async fn two_workers_that_quorum_queues_feed_cook_those_that_have_waited_for_long_in_turn() {
    let env = TestEnv::new().await;
    env.write_config(FED);
    env.edit_config(|text| text.replace("rabbitmq:\n", "rabbitmq:\n  queue_type: quorum\n"));
    let kit = Kit::on(env).await;
    let _anna = kit.working("chef_anna", &SLOW_COOKING).await;
    let _mario = kit.working("chef_mario", &SLOW_COOKING).await;
    let slow = rush(&kit, SLOW).await;
    assert_promoted(&kit, &slow).await;
}

#[tokio::test]
async fn a_worker_that_sweeps_the_backlog_cooks_the_order_that_has_waited_for_long() {
    let kit = Kit::with(SWEPT).await;
    let slow = rush(&kit, SLOW).await;
    kit.lose_messages().await;
    let _chef = kit.worker("chef_anna", &COOKING);
    assert_promoted(&kit, &slow).await;
}
