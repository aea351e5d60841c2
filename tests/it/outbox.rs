//! What relays that work at the same time take from the outbox.

use std::time::Duration;

use restaurant_system::domain::{CookTimes, OrderNumber, OrderType};
use restaurant_system::store::{
    AnnouncementContent, Claim, ClaimedOrder, Finish, IntakeRequest, IntakeStore, KitchenStore, LockedRows,
    OutboxBatch, OutboxStore, Placed, ReconcilerStore, Store,
};

use crate::sim::orders::{form, token};
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

fn changes(batch: &OutboxBatch) -> Vec<&str> {
    let changes = batch.announcements().iter();
    changes
        .map(|announcement| match &announcement.content {
            AnnouncementContent::Status(update) => update.new_status.as_str(),
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
async fn what_an_order_was_is_announced_as_its_log_says() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    db.batch_execute(ORDER).await.unwrap();
    let otherwise = "update order_status_log set previous_status = 'ready' where status = 'cooking'";
    db.execute(otherwise, &[]).await.unwrap();
    let batch = env.store(Duration::from_secs(30)).await.lock_outbox(10, Duration::ZERO).await.unwrap();
    let told = batch.announcements().iter().map(|announcement| match &announcement.content {
        AnnouncementContent::Status(update) => (update.old_status.as_deref(), update.new_status.as_str()),
        AnnouncementContent::Order(_) => panic!("an order"),
    });
    // The others are rows of a version that did not say it.
    let expected = [(Some("ready"), "cooking"), (Some("cooking"), "ready"), (Some("ready"), "completed")];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_change_that_a_later_version_wrote_holds_back_its_own_order_alone() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    db.batch_execute(ORDER).await.unwrap();
    db.batch_execute(&ORDER.replace("_001", "_002")).await.unwrap();
    let later = "
        alter table order_status_log drop constraint order_status_log_status_known, disable trigger user;
        update order_status_log set status = 'garnishing' where status = 'ready'
            and order_id = (select id from orders where number = 'ORD_20260101_001')";
    db.batch_execute(later).await.unwrap();
    let store = env.store(Duration::from_secs(30)).await;
    let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
    assert_eq!(changes(&batch), ["cooking", "cooking", "ready", "completed"]);
    let published: Vec<i64> = batch.announcements().iter().map(|announcement| announcement.log_id).collect();
    store.confirm_outbox(batch, &published).await.unwrap();
    let left: i64 = db.query_one("select count(*) from outbox", &[]).await.unwrap().get(0);
    assert_eq!(left, 2, "it and what follows it stay for a version that can read them");
}

/// So many orders, taken together.
async fn placed(store: &Store, count: u8) -> Vec<OrderNumber> {
    let mut rng = fastrand::Rng::with_seed(1);
    let requests: Vec<IntakeRequest> = (0..count)
        .map(|n| IntakeRequest {
            order: form(&mut rng),
            request_id: format!("request {n}"),
            traceparent: (n % 2 == 0).then(|| format!("00-{n:032x}-{n:016x}-01")),
            token: token(&fastrand::Rng::new()),
            source: None,
            idempotency: None,
        })
        .collect();
    let placed = store.place_orders(&requests).await.unwrap();
    let number = |placed| match placed {
        Placed::New(number) => number,
        other => panic!("{other:?}"),
    };
    placed.into_iter().map(number).collect()
}

fn claim() -> Claim {
    Claim {
        worker: "chef_anna".parse().unwrap(),
        order_types: OrderType::ALL.to_vec(),
        cook_times: CookTimes::uniform(Duration::from_secs(5)),
        is_manual: false,
        promote_after: Duration::from_secs(900),
    }
}

/// What a finish of these orders names.
fn finishes(claimed: &[ClaimedOrder]) -> Vec<Finish> {
    claimed.iter().map(|order| Finish { number: order.number.clone(), attempt: order.attempt }).collect()
}

#[tokio::test]
async fn what_is_left_of_a_row_of_many_is_announced_later() {
    let env = TestEnv::new().await;
    let store = env.store(Duration::from_secs(30)).await;
    let numbers = placed(&store, 4).await;
    let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
    let log_ids: Vec<i64> = batch.announcements().iter().map(|announcement| announcement.log_id).collect();
    assert_eq!(log_ids.len(), 4);
    store.confirm_outbox(batch, &[log_ids[0], log_ids[2]]).await.unwrap();
    let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
    let left: Vec<_> = batch.announcements().iter().map(|announcement| &announcement.number).collect();
    assert_eq!(left, [&numbers[1], &numbers[3]]);
    store.confirm_outbox(batch, &[log_ids[1], log_ids[3]]).await.unwrap();
    assert_eq!(store.lock_outbox(10, Duration::ZERO).await.unwrap().locked(), 0);
}

#[tokio::test]
async fn a_change_waits_for_an_earlier_one_in_a_row_of_many_that_another_relay_has_in_hand() {
    let env = TestEnv::new().await;
    let (store, other_relay) = (env.store(Duration::from_secs(30)).await, env.connect().await);
    let numbers = placed(&store, 3).await;
    other_relay.batch_execute("delete from outbox").await.unwrap();
    let claimed = store.claim_orders(&claim(), &numbers[..2]).await.unwrap();
    other_relay.batch_execute("begin; select from outbox for update").await.unwrap();
    let late = store.claim_orders(&claim(), &numbers[2..]).await.unwrap();
    store.finish_orders(&claim().worker, &finishes(&[claimed, late].concat())).await.unwrap();
    let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
    // The third order's changes go; the others are ready, but not announced as being cooked yet.
    assert_eq!((changes(&batch), batch.locked()), (vec!["cooking", "ready"], 4));
    assert!(batch.announcements().iter().all(|announcement| announcement.number == numbers[2]));
    drop(batch);
    other_relay.batch_execute("rollback").await.unwrap();
    eventually("the rows to be free", async || {
        let batch = store.lock_outbox(10, Duration::ZERO).await.unwrap();
        changes(&batch) == ["cooking", "cooking", "cooking", "ready", "ready", "ready"]
    })
    .await;
}

#[tokio::test]
async fn a_relay_locks_no_more_rows_than_it_asks_for() {
    let env = TestEnv::new().await;
    let store = env.store(Duration::from_secs(30)).await;
    for _ in 0..4 {
        placed(&store, 3).await;
    }
    let first = store.lock_outbox(4, Duration::ZERO).await.unwrap();
    // Rows go as a whole.
    assert_eq!(first.locked(), 6);
    let second = store.lock_outbox(100, Duration::ZERO).await.unwrap();
    assert_eq!(second.locked(), 6);
}

#[tokio::test]
async fn what_is_still_to_be_announced_is_not_entered_again() {
    let env = TestEnv::new().await;
    let store = env.store(Duration::from_secs(30)).await;
    let numbers = placed(&store, 5).await;
    store.claim_orders(&claim(), &numbers[..3]).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(store.announce_everything(hour, 100).await.unwrap(), 0);
    assert_eq!(store.announce_late_orders(0, 100, Duration::ZERO).await.unwrap().announced, 0);
    env.connect().await.batch_execute("delete from outbox").await.unwrap();
    assert_eq!(store.announce_everything(hour, 100).await.unwrap(), 2 + 3);
}

#[tokio::test]
async fn what_a_process_has_just_written_is_announced_as_it_is_read_back() {
    let env = TestEnv::new().await;
    let store = env.store(Duration::from_secs(30)).await;
    let numbers = placed(&store, 6).await;
    let claimed = store.claim_orders(&claim(), &numbers[..4]).await.unwrap();
    assert_eq!(store.finish_orders(&claim().worker, &finishes(&claimed[..2])).await.unwrap().len(), 2);

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

/// Changes of ten minutes each up to now, with ids that are missing in between.
const LONG_DAY: &str = "
with o as (
    insert into orders (number, customer_name, type, total_amount, status, processed_by)
    select 'ORD_20260101_' || 1000 + n, 'Ada Lovelace', 'takeout', 9.99, 'cooking', 'chef_anna'
    from generate_series(1, 60) as n returning id, number
), l as (
    insert into order_status_log (order_id, status, changed_by, changed_at)
    select id, 'cooking', 'chef_anna', now() - interval '10 min' * (1060 - right(number, 4)::int) - interval '1 s'
    from o order by number returning id, order_id
)
select count(*) from l";

#[tokio::test]
async fn late_changes_are_found_behind_a_long_history() {
    let env = TestEnv::new().await;
    let (store, db) = (env.store(Duration::from_secs(30)).await, env.connect().await);
    assert_eq!(store.announce_everything(Duration::from_secs(3600), 7).await.unwrap(), 0, "of nothing");
    db.execute(LONG_DAY, &[]).await.unwrap();
    db.batch_execute("delete from orders where id % 3 = 0").await.unwrap();
    for minutes in [0_u64, 15, 95, 240, 100_000] {
        let window = Duration::from_secs(minutes * 60);
        let sql =
            "select count(*) from order_status_log where changed_at > now() - make_interval(mins => $1)";
        let minutes = i32::try_from(minutes).unwrap();
        let expected: i64 = db.query_one(sql, &[&minutes]).await.unwrap().get(0);
        assert_eq!(store.announce_everything(window, 7).await.unwrap(), expected, "{minutes} minutes");
        db.batch_execute("delete from outbox").await.unwrap();
    }
}
