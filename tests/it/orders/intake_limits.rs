//! How many orders are taken: in a quarter of an hour, and of one table or address at once (contract, section 12).

use super::intake::{kind, start};
use crate::support::{Answer, Http, Role, TestEnv, answer, delivery, dine_in, takeout, with, without};
use futures_util::future::join_all;
use serde_json::{Value, json};

const SEVEN: &str = "kJ3xVb0aQ9-_tableseven";
const EIGHT: &str = "Zp4wNc8sT1-_tableeight";

/// An order service with two tables, which takes so many orders.
async fn with_tables(limits: &str) -> (TestEnv, Role, Http) {
    let env = TestEnv::new().await;
    let tokens = env.dir().join("tables.yaml");
    let tables = format!("tables:\n- {{table: 7, token: {SEVEN}}}\n- {{table: 8, token: {EIGHT}}}\n");
    std::fs::write(&tokens, tables).unwrap();
    env.write_config(&format!(
        "menu: {{table_tokens: {}}}\nintake: {{{limits}}}\nhttp: {{trusted_proxies: [127.0.0.1]}}\n",
        tokens.display()
    ));
    let (service, http) = start(&env).await;
    (env, service, http)
}

async fn at_table(http: &Http, token: &str, order: &Value) -> Answer {
    answer(http.order_request(order.to_string()).header("x-table-token", token)).await
}

async fn from(http: &Http, address: &str, order: &Value) -> Answer {
    answer(http.order_request(order.to_string()).header("x-forwarded-for", address)).await
}

#[tokio::test]
async fn fifty_connections_at_two_services_get_as_many_orders_as_a_quarter_of_an_hour_has() {
    const LIMIT: i64 = 10;
    let env = TestEnv::new().await;
    env.write_config(&format!("intake: {{max_orders_per_15_minutes: {LIMIT}}}\n"));
    let (_service, http) = start(&env).await;
    let (_second, other) = start(&env).await;
    let first = http.post_keyed("k1", &takeout()).await;
    let order = takeout();
    let answers =
        join_all((0..50).map(|n| if n % 2 == 0 { http.post(&order) } else { other.post(&order) })).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(kind(refused, 503), "intake-full");
        let wait_s: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=900).contains(&wait_s), "{refused:?}");
    }
    let db = env.connect().await;
    let quarters = "select to_timestamp(floor(extract(epoch from created_at) / 900) * 900) as begins_at, count(*) as orders
        from orders group by 1";
    let sql = format!(
        "select count(*), max(c.orders), sum(c.orders)::bigint, bool_and(c.orders = q.orders)
        from ({quarters}) c join intake_quarters q using (begins_at)"
    );
    let row = db.query_one(&sql, &[]).await.unwrap();
    let [count, most, sum] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
    // The test may go past the end of a quarter.
    assert!(most == LIMIT || (count == 2 && most < LIMIT), "{count} quarters, {most} of {sum} orders in one");
    assert_eq!((usize::try_from(sum).unwrap(), row.get::<_, bool>(3)), (taken + 1, true));
    if count == 1 {
        let again = other.post_keyed("k1", &takeout()).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
    }
    // No number was given to what was refused.
    db.execute("update intake_quarters set orders = 0", &[]).await.unwrap();
    assert!(other.place(&takeout()).await.ends_with(&format!("_{:03}", sum + 1)));
}

#[tokio::test]
async fn who_shows_a_tables_token_orders_for_that_table() {
    let (_env, service, http) = with_tables("").await;
    let table = |token: &str| http.request("GET", "/tables/mine").header("x-table-token", token);
    assert_eq!(answer(table(SEVEN)).await.ok(), json!({"table_number": 7}));
    answer(table("nobodys-table-at-all")).await.problem(404);
    http.get("/tables/mine").await.problem(400);

    let order = without(&dine_in(), "/table_number");
    let number = at_table(&http, SEVEN, &order).await.number();
    let shown = http.staff("GET", &format!("/orders/{number}")).await.json();
    assert_eq!(shown["table_number"], 7);
    at_table(&http, SEVEN, &with(&order, "/table_number", json!(7))).await.number();
    let elsewhere = at_table(&http, SEVEN, &with(&order, "/table_number", json!(8))).await;
    assert_eq!(elsewhere.violations(422), ["/table_number"]);
    assert_eq!(at_table(&http, SEVEN, &takeout()).await.violations(422), ["/order_type"]);
    at_table(&http, "nobodys-table-at-all", &order).await.problem(403);
    for line in service.lines() {
        assert!(!line.contains(SEVEN) && !line.contains("nobodys"), "{line}");
    }
}

#[tokio::test]
async fn a_table_and_an_address_have_so_many_orders_open_and_no_more() {
    let (env, _service, http) =
        with_tables("max_open_orders_per_table: 2, max_open_orders_per_address: 1").await;
    let order = without(&dine_in(), "/table_number");
    let first = at_table(&http, SEVEN, &order).await.number();
    at_table(&http, SEVEN, &order).await.number();
    let refused = at_table(&http, SEVEN, &order).await;
    assert_eq!((kind(&refused, 429).as_str(), refused.header("retry-after")), ("too-many-open-orders", "60"));
    at_table(&http, EIGHT, &order).await.number();
    http.change(&first, "cancel").await;
    at_table(&http, SEVEN, &order).await.number();

    let own = from(&http, "198.51.100.1", &delivery()).await.number();
    assert_eq!(kind(&from(&http, "198.51.100.1", &delivery()).await, 429), "too-many-open-orders");
    from(&http, "198.51.100.2", &delivery()).await.number();
    http.change(&own, "cancel").await;
    from(&http, "198.51.100.1", &delivery()).await.number();

    // What is counted is forgotten with the orders, and names nobody.
    let db = env.connect().await;
    let store = env.store(std::time::Duration::from_secs(10)).await;
    db.execute("update intake_quarters set begins_at = begins_at - interval '2 days'", &[]).await.unwrap();
    assert_eq!(store.forget_limits().await.unwrap(), 3);
    let row = db.query_one("select count(*), count(*) filter (where source < 0) from intake_sources", &[]);
    let row = row.await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (5, 3));
}

#[tokio::test]
async fn at_once_a_table_has_no_more_orders_than_one_after_the_other() {
    let (env, _service, http) = with_tables("max_open_orders_per_table: 3").await;
    let (_second, other) = start(&env).await;
    let order = without(&dine_in(), "/table_number");
    let answers = join_all((0..20).map(|n| {
        let at = if n % 2 == 0 { &http } else { &other };
        at_table(at, SEVEN, &order)
    }))
    .await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(429)), (3, 17), "{answers:?}");
}

#[tokio::test]
async fn a_fault_of_the_tables_is_named_with_its_line_and_without_the_token() {
    let env = TestEnv::new().await;
    let tokens = env.dir().join("tables.yaml");
    let tables = format!(
        "tables:\n- {{table: 7, token: {SEVEN}}}\n- {{table: 101, token: {SEVEN}x}}\n- {{table: 8, token: {SEVEN}}}\n- {{table: 9, token: s3cret}}\n"
    );
    std::fs::write(&tokens, tables).unwrap();
    env.write_config(&format!("menu: {{table_tokens: {}}}\n", tokens.display()));
    for args in [&["order-service", "--port", "0"][..], &["check-config"]] {
        let output = env.run(args).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{args:?} {said}");
        for fault in [
            "tables.yaml:3: tables.1.table: must be a number from 1 to 100",
            "tables.yaml:4: tables.2: another table has this token as well",
            "tables.yaml:5: tables.3.token: must be 16 to 64 letters",
        ] {
            assert!(said.contains(fault), "{fault}: {said}");
        }
        assert!(!said.contains(SEVEN) && !said.contains("s3cret"), "{said}");
    }
}
