//! Statements whose plan must not depend on how well PostgreSQL knows its tables.

use std::time::Duration;

use restaurant_system::domain::{CookTimes, OrderNumber, OrderType, Status};
use restaurant_system::services::order::parse_order;
use restaurant_system::store::{
    Claim, EventCursor, Finish, IdempotencyKey, IntakeRequest, IntakeStore, KitchenStore, OrderFilter,
    StaffChange, StaffOutcome, StaffSession, StationLook, Store, TicketAct, TicketOutcome,
};
use tokio_postgres::Client;

use crate::sim::orders::token;
use crate::support::{TestEnv, eventually, token_act};

/// A past in which everything was completed, which is all that PostgreSQL knows, and then a rush.
const RUSH: &str = "
insert into orders (number, customer_name, type, total_amount, status, processed_by, completed_at)
select 'ORD_20260101_' || 1000 + n, 'Ada Lovelace', 'takeout', 9.99, 'completed', 'chef_anna', now()
from generate_series(1, 1000) as n;
analyze orders;
insert into orders (number, customer_name, type, total_amount)
select 'ORD_20260102_' || 1000 + n, 'Ada Lovelace', 'takeout', 9.99 from generate_series(1, 2000) as n;";
const INDEXES_READ: &str = "
select sum(idx_tup_read) filter (where indexrelname = 'orders_number_key')::bigint as by_number,
       sum(idx_tup_read) filter (where indexrelname <> 'orders_number_key')::bigint as by_others
from pg_stat_user_indexes where relname = 'orders'";

#[tokio::test]
async fn a_claim_by_number_does_not_read_all_that_wait() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    db.batch_execute(RUSH).await.unwrap();
    let store = env.store(Duration::from_secs(30)).await;
    let claim = Claim {
        worker: "chef_anna".parse().unwrap(),
        order_types: OrderType::ALL.to_vec(),
        cook_times: CookTimes::uniform(Duration::from_secs(5)),
        is_manual: false,
        promote_after: Duration::from_secs(900),
    };
    let numbers: Vec<OrderNumber> =
        (1500..1520).map(|n| OrderNumber::parse(&format!("ORD_20260102_{n}")).unwrap()).collect();
    assert_eq!(store.claim_orders(&claim, &numbers).await.unwrap().len(), numbers.len());
    // A connection tells what it has read when it is closed, if not before.
    drop(store);
    let read = async || {
        let row = db.query_one(INDEXES_READ, &[]).await.unwrap();
        (row.get::<_, i64>("by_number"), row.get::<_, i64>("by_others"))
    };
    // Each order is found, and then updated.
    let expected = 2 * numbers.len() as i64;
    eventually("the claim to be counted", async || read().await.0 + read().await.1 >= expected).await;
    let (by_number, by_others) = read().await;
    assert!(
        by_others < 200,
        "{by_number} entries were read by number, {by_others} otherwise, to claim 20 orders"
    );
}

#[tokio::test]
async fn looking_for_the_oldest_orders_does_not_read_all_that_wait() {
    let env = TestEnv::new().await;
    env.connect().await.batch_execute(RUSH).await.unwrap();
    let db = env.connect().await;
    let a = Asking { env, db };
    let mut claim = Claim {
        worker: "chef_anna".parse().unwrap(),
        order_types: OrderType::ALL.to_vec(),
        cook_times: CookTimes::uniform(Duration::from_secs(5)),
        is_manual: false,
        promote_after: Duration::from_secs(900),
    };
    a.reads_little("the time of the next promotion", async |store| {
        assert!(store.promotion_due(&claim).await.unwrap().is_some_and(|due| due > Duration::from_secs(600)));
    })
    .await;
    a.reads_little("looking for promoted orders where there are none", async |store| {
        assert_eq!(store.claim_promoted(&claim, 10).await.unwrap(), []);
    })
    .await;
    claim.promote_after = Duration::ZERO;
    a.reads_little("claiming promoted orders", async |store| {
        assert_eq!(store.claim_promoted(&claim, 10).await.unwrap().len(), 10);
    })
    .await;
}

/// A restaurant that long said of no order that it was handed over, and says so now. It serves takeouts alone.
const SKEWED: &str = "
insert into orders (number, customer_name, type, total_amount, status, processed_by, completed_at)
select 'ORD_20260101_' || 10000 + n, 'Ada Lovelace', 'takeout', 9.99,
       case when n <= 3000 then 'ready' else 'completed' end, 'chef_anna', now()
from generate_series(1, 6000) as n;
insert into orders (number, customer_name, type, total_amount)
select 'ORD_20260102_' || 1000 + n, 'Ada Lovelace', 'takeout', 9.99 from generate_series(1, 10) as n;
analyze orders;";
const ROWS_READ: &str =
    "select idx_tup_fetch + seq_tup_read as rows from pg_stat_user_tables where relname = 'orders'";

#[tokio::test]
async fn a_list_reads_no_more_of_each_status_and_type_than_its_page() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    db.batch_execute(SKEWED).await.unwrap();
    let rows_read = async || db.query_one(ROWS_READ, &[]).await.unwrap().get::<_, i64>("rows");
    for (statuses, order_types, before_id, found) in [
        (vec![Status::Received, Status::Ready], vec![], None, 51),
        (vec![Status::Ready, Status::Cancelled], vec![OrderType::Takeout, OrderType::Delivery], None, 51),
        (vec![Status::Received, Status::Cooking], vec![OrderType::Takeout], None, 10),
        (vec![Status::OutForDelivery], vec![], None, 0),
        (vec![Status::Ready, Status::Completed], vec![OrderType::Delivery], None, 0),
        (vec![Status::Ready, Status::Completed], vec![], Some(2000), 51),
        (vec![Status::Completed], vec![OrderType::Takeout], Some(2000), 0),
        (vec![], vec![OrderType::DineIn, OrderType::Delivery], None, 0),
        (vec![], vec![OrderType::Takeout], None, 51),
    ] {
        let already_read = rows_read().await;
        let store = env.store(Duration::from_secs(30)).await;
        let filter = OrderFilter { statuses, order_types, before_id };
        assert_eq!(store.orders(&filter, 51).await.unwrap().orders.len(), found);
        // A connection tells what it has read when it is closed, if not before.
        drop(store);
        eventually("the list to be counted", async || rows_read().await >= already_read + found as i64).await;
        let rows = rows_read().await - already_read;
        assert!(rows < 300, "{rows} rows were read for {filter:?}");
    }
}

/// The same orders with all that belongs to them, and with a change that waits for nobody.
const LIVES: &str = "
insert into order_items (order_id, name, quantity, price) select id, 'Pizza', 1, 9.99 from orders;
insert into order_status_log (order_id, status, changed_by)
select id, s.status, 'chef_anna' from orders, unnest('{received,cooking,ready}'::text[]) as s (status);
insert into station_tickets (order_id, station, attempt, bumped_at, bumped_by)
select id, 'chef_anna', attempt, now() - interval '2 days', 'anna' from orders;
insert into idempotency_keys (key, body_sha256, order_id) select 'key-' || id, sha256('x'), id from orders;
insert into workers (name, type, status) select 'chef_' || n, 'takeout', 'offline' from generate_series(1, 50) as n;
analyze;";
const ALL_ROWS_READ: &str = "
select sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::bigint as rows from pg_stat_user_tables
where relname in ('orders', 'order_items', 'order_status_log', 'idempotency_keys', 'outbox', 'station_tickets')";
/// A connection tells what it has read when it ends, if not before.
const END_CONNECTIONS: &str = "
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and usename = current_user and pid <> pg_backend_pid()";
/// What one call may read: its own rows, a hundred of the latest to learn from, and some.
const ROWS_MAX: i64 = 300;

/// What is asked of 6,000 orders, of which none is of the type that is asked for.
struct Asking {
    env: TestEnv,
    db: Client,
}

impl Asking {
    async fn reads_little(&self, what: &str, ask: impl AsyncFnOnce(&Store)) {
        let rows_read = async || {
            eventually("connections have ended", async || {
                self.db.query_one(END_CONNECTIONS, &[]).await.unwrap().get::<_, i64>(0) == 0
            })
            .await;
            self.db.query_one(ALL_ROWS_READ, &[]).await.unwrap().get::<_, i64>("rows")
        };
        let before = rows_read().await;
        let store = self.env.store(Duration::from_secs(30)).await;
        ask(&store).await;
        let rows = rows_read().await - before;
        assert!(rows < ROWS_MAX, "{what} reads {rows} rows");
    }
}

#[tokio::test]
async fn no_statement_that_a_request_causes_reads_a_whole_table() {
    let env = TestEnv::new().await;
    // What this one has read is told when it ends, before anything is asked.
    env.connect().await.batch_execute(&format!("{SKEWED}{LIVES}")).await.unwrap();
    let db = env.connect().await;
    let a = Asking { env, db };
    let number = |n: u32| OrderNumber::parse(&format!("ORD_20260101_{n}")).unwrap();
    let (ready, waiting) = (number(10_001), OrderNumber::parse("ORD_20260102_1001").unwrap());
    a.reads_little("an order", async |store| assert!(store.order(&ready).await.unwrap().is_some())).await;
    a.reads_little("a status", async |store| {
        assert!(store.order_statuses(&[ready.clone(), number(9_999)]).await.unwrap()[0].is_some());
    })
    .await;
    a.reads_little("a history", async |store| {
        assert_eq!(store.order_history(&ready).await.unwrap().unwrap().len(), 3);
    })
    .await;
    a.reads_little("the events of an order", async |store| {
        assert_eq!(store.events_of_orders(std::slice::from_ref(&ready)).await.unwrap().0.len(), 3);
    })
    .await;
    a.reads_little("the board of the room", async |store| {
        assert!(!store.room_board().await.unwrap().making.is_empty());
    })
    .await;
    a.reads_little("what is open in the house", async |store| {
        let waiting = (Status::Received, OrderType::Takeout, 10);
        assert_eq!(store.house().await.unwrap().orders, [waiting]);
    })
    .await;
    a.reads_little("the newest event", async |store| assert!(store.newest_event().await.is_ok())).await;
    a.reads_little("the first events", async |store| {
        assert_eq!(store.events_after(EventCursor::START, 64).await.unwrap().events.len(), 64);
    })
    .await;
    for order_type in OrderType::ALL {
        a.reads_little(&format!("the kitchen of {order_type}"), async |store| {
            store.kitchen_picture(order_type, Duration::from_secs(900)).await.unwrap();
        })
        .await;
    }
    a.reads_little("a session of the staff", async |store| {
        store.open_session(&[1; 32], "anna", &[2; 32]).await.unwrap();
        assert!(matches!(store.staff_session(&[1; 32]).await.unwrap(), StaffSession::Live { .. }));
    })
    .await;
    a.reads_little("what the staff did", async |store| {
        assert_eq!(store.staff_actions(None, 50).await.unwrap().0.len(), 0);
    })
    .await;
    a.reads_little("cancelling", async |store| {
        let change = StaffChange::new(Status::Cancelled, token_act());
        assert_eq!(
            store.move_order(&waiting, &change).await.unwrap(),
            StaffOutcome::Done { from: Status::Received }
        );
    })
    .await;
    let cook_times = CookTimes::uniform(Duration::from_secs(600));
    let claim = Claim {
        worker: "chef_anna".parse().unwrap(),
        order_types: OrderType::ALL.to_vec(),
        cook_times,
        is_manual: false,
        promote_after: Duration::from_secs(900),
    };
    a.reads_little("recalling", async |store| {
        let recalled = store.recall_order(&number(10_002), &token_act(), Duration::from_secs(3600)).await;
        assert_eq!(recalled.unwrap(), StaffOutcome::Done { from: Status::Ready });
    })
    .await;
    a.reads_little("looking at the orders in hand", async |store| {
        let held = [number(10_002), number(10_003)].map(|number| Finish { number, attempt: 1 });
        assert_eq!(store.not_held(&claim.worker, &held).await.unwrap().len(), 2);
    })
    .await;
    a.reads_little("cooking a recalled order", async |store| {
        let claimed = store.claim_orders(&claim, &[number(10_002)]).await.unwrap();
        let held = Finish { number: number(10_002), attempt: claimed[0].attempt };
        assert_eq!(store.finish_orders(&claim.worker, &[held]).await.unwrap().len(), 1);
    })
    .await;
    let station = StationLook {
        station: claim.worker.clone(),
        order_types: OrderType::ALL.to_vec(),
        recall_within: Duration::from_secs(900),
        promote_after: Duration::from_secs(900),
    };
    a.reads_little("a station's tickets", async |store| {
        assert_eq!(store.station_picture(&station).await.unwrap().tickets.len(), 0);
    })
    .await;
    a.reads_little("recalling at a station", async |store| {
        let act = TicketAct::Recall { within: Duration::from_secs(3600), targets: cook_times };
        let recalled = store.act_on_ticket(&claim.worker, &number(10_004), 0, act, &token_act()).await;
        assert!(matches!(recalled.unwrap(), TicketOutcome::Done { .. }));
    })
    .await;
    let by_hand = Claim { worker: "grill".parse().unwrap(), is_manual: true, ..claim.clone() };
    a.db.execute("insert into workers (name, type, cooking) values ('grill', 'takeout', 'manual')", &[])
        .await
        .unwrap();
    a.reads_little("the kitchen of a station", async |store| {
        assert!(store.kitchen_picture(OrderType::Takeout, Duration::from_secs(900)).await.unwrap().is_manual);
    })
    .await;
    a.reads_little("cooking at a station", async |store| {
        let waiting = OrderNumber::parse("ORD_20260102_1002").unwrap();
        assert_eq!(store.claim_orders(&by_hand, &[waiting]).await.unwrap().len(), 1);
        let bump = "update station_tickets set bumped_at = now(), bumped_by = 'anna'
            where order_id = (select id from orders where number = 'ORD_20260102_1002')";
        a.db.execute(bump, &[]).await.unwrap();
        assert_eq!(store.finish_bumped(&by_hand.worker, Duration::ZERO).await.unwrap().len(), 1);
    })
    .await;
    a.reads_little("handing over", async |store| {
        let change = StaffChange::new(Status::Completed, token_act());
        assert_eq!(
            store.move_order(&ready, &change).await.unwrap(),
            StaffOutcome::Done { from: Status::Ready }
        );
    })
    .await;
    let body = br#"{"customer_name":"Ada","order_type":"takeout","items":[{"name":"Pizza","quantity":1,"price":9.99}]}"#;
    for key in [None, Some("new"), Some("key-17")] {
        a.reads_little(&format!("an order under the key {key:?}"), async |store| {
            let idempotency = key.map(|key| IdempotencyKey { key: key.to_owned(), body_sha256: [0; 32] });
            let order = parse_order(body, None, None).unwrap();
            let request = IntakeRequest {
                order,
                request_id: "r".to_owned(),
                traceparent: None,
                token: token(&fastrand::Rng::with_seed(key.map_or(0, str::len) as u64)),
                source: None,
                idempotency,
            };
            assert_eq!(store.place_orders(&[request]).await.unwrap().len(), 1);
        })
        .await;
    }
    a.reads_little("an order by its token", async |store| {
        let placed = token(&fastrand::Rng::with_seed(0));
        assert_eq!(store.order_of_token(placed).await.unwrap().unwrap().token, Some(placed));
    })
    .await;
}
