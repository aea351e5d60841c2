//! The page `/` where orders are bounded: by tables, by the hour, and by how many there may be.

use super::order_form::{hidden, send};
use crate::orders::menu::{SOUP, menu_of, offers, write};
use crate::support::{Answer, Counter, TestEnv};
use reqwest::header::LOCATION;

const SEVEN: &str = "kJ3xVb0aQ9-_tableseven";

/// A restaurant with a soup, a table of which the token is known, and this configuration.
async fn open(env: &TestEnv, more: &str) -> Counter {
    let menu = write(env, "menu.yaml", &menu_of(&[SOUP]));
    let tables = write(env, "tables.yaml", &format!("tables:\n- {{table: 7, token: {SEVEN}}}\n"));
    env.write_config(&format!("menu: {{file: {menu}, table_tokens: {tables}}}\n{more}\n"));
    let counter = Counter::start(env).await;
    offers(&counter.orders, &["soup"]).await;
    counter
}

/// Orders a soup at the table by the form of a page that is fetched for it.
async fn order_soup(counter: &Counter) -> Answer {
    let html = counter.http.get(&format!("/?table={SEVEN}")).await.text;
    let fields = [
        ("key", hidden(&html, "key")),
        ("p.soup", hidden(&html, "p.soup")),
        ("table", SEVEN.to_owned()),
        ("customer_name", "Ada Lovelace".to_owned()),
        ("order_type", "dine_in".to_owned()),
        ("table_number", "9".to_owned()),
        ("q.soup", "1".to_owned()),
    ];
    send(counter, &fields, "").await
}

/// The page is there again, with what was typed, and says this.
fn says(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert!(answer.text.contains(text) && answer.text.contains("Ada Lovelace"), "{}", answer.text);
}

#[tokio::test]
async fn a_known_table_is_fixed_whatever_a_form_says() {
    let env = TestEnv::new().await;
    let counter = open(&env, "").await;
    let page = counter.http.get(&format!("/?table={SEVEN}")).await;
    assert!(page.text.contains("id=\"fixed-table\"") && !page.text.contains("name=\"table_number\""));
    let taken = order_soup(&counter).await;
    assert_eq!(taken.status, 303, "{}", taken.text);
    assert!(taken.header(LOCATION.as_str()).starts_with("/t/"));
    let table: i32 =
        env.connect().await.query_one("select table_number from orders", &[]).await.unwrap().get(0);
    assert_eq!(table, 7);
}

#[tokio::test]
async fn a_table_with_as_many_open_orders_as_it_may_have_is_told_to_wait() {
    let env = TestEnv::new().await;
    let counter = open(&env, "intake: {max_open_orders_per_table: 1}").await;
    assert_eq!(order_soup(&counter).await.status, 303);
    let second = order_soup(&counter).await;
    says(&second, 429, "Too many orders from here are still open");
    assert!(second.header("retry-after").parse::<u32>().is_ok());
}

#[tokio::test]
async fn a_quarter_of_an_hour_that_is_full_is_told_as_that() {
    let env = TestEnv::new().await;
    let counter = open(&env, "intake: {max_orders_per_15_minutes: 1}").await;
    assert_eq!(order_soup(&counter).await.status, 303);
    let second = order_soup(&counter).await;
    says(&second, 503, "no room for another order right now");
}

#[tokio::test]
async fn a_form_that_comes_after_closing_time_is_told_when_it_opens() {
    let env = TestEnv::new().await;
    // Open for one minute each day, which began twelve hours ago.
    let opens = (jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC)).hour();
    let opens = (opens + 12) % 24;
    let hours = format!("restaurant: {{time_zone: UTC, hours: [\"mon-sun {opens:02}:00-{opens:02}:01\"]}}");
    let counter = open(&env, &hours).await;
    let late = order_soup(&counter).await;
    says(&late, 409, "We are closed. You can order again from:");
    assert!(
        late.text.contains(&format!("{opens}:00")) || late.text.contains(&format!("{}:00", opens % 12)),
        "{}",
        late.text
    );
}
