//! Statements whose plan must not depend on how well PostgreSQL knows its tables.

use std::time::Duration;

use restaurant_system::domain::{CookTimes, OrderNumber, OrderType, Status};
use restaurant_system::store::{Claim, OrderFilter};

use crate::support::{TestEnv, eventually};

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

/// A house that long said of no order that it was handed over, and says so now. It serves takeouts alone.
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
