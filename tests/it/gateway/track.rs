//! The pages of one order, as they are answered.

use crate::support::{Answer, Counter, TestEnv, answer, delivery, dine_in, with};
use serde_json::json;

/// Of the form of a token, and none of an order.
const WRONG: &str = "AAAAAAAAAAAAAAAAAAAAAA";

struct Placed {
    number: String,
    token: String,
}

async fn restaurant() -> (TestEnv, Counter) {
    let env = TestEnv::new().await;
    env.write_config("restaurant: {name: \"Da Ada\", time_zone: Europe/Rome}\n");
    let counter = Counter::start(&env).await;
    (env, counter)
}

async fn place(counter: &Counter, order: &serde_json::Value) -> Placed {
    let answer = counter.orders.post(order).await;
    let url = answer.json()["tracking_url"].as_str().unwrap().to_owned();
    Placed { number: answer.number(), token: url.rsplit_once("/t/").unwrap().1.to_owned() }
}

/// Fails the test for a page that anybody may keep, list or tell on.
fn assert_private(page: &Answer) {
    for (name, value) in
        [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-robots-tag", "noindex")]
    {
        assert_eq!(page.header(name), value, "{page:?}");
    }
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{page:?}");
}

fn assert_reads(page: &Answer, parts: &[&str], others: &[&str]) {
    assert!(parts.iter().all(|part| page.text.contains(part)), "{parts:?}: {}", page.text);
    assert!(others.iter().all(|part| !page.text.contains(part)), "{others:?}: {}", page.text);
}

#[tokio::test]
async fn a_customer_sees_dishes_and_money_and_whoever_knows_the_number_does_not() {
    let (_env, counter) = restaurant().await;
    let order =
        with(&with(&delivery(), "/notes", json!("Ring twice")), "/items/0/notes", json!("no <b>basil"));
    let placed = place(&counter, &order).await;
    let own = counter.http.get(&format!("/t/{}", placed.token)).await;
    assert_eq!(own.status, 200);
    assert_private(&own);
    let nobody = ["Lovelace", "Analytical", "<b>basil"];
    assert_reads(&own, &[&placed.number, "Da Ada", "Margherita Pizza", "€15.99", "Ring twice"], &nobody);
    let other = counter.http.get(&format!("/track/{}", placed.number)).await;
    assert_eq!(other.status, 200);
    assert_private(&other);
    let private =
        ["Lovelace", "Analytical", "Margherita", "15.99", "Ring twice", "basil", "cancel\"", &placed.token];
    assert_reads(&other, &[&placed.number, "Received", "Delivery"], &private);
    let german = counter.http.get(&format!("/track/{}?lang=de", placed.number)).await;
    assert_reads(&german, &["lang=\"de\"", "Eingegangen"], &[]);
    assert!(german.header("set-cookie").starts_with("lang=de;"), "{german:?}");
}

#[tokio::test]
async fn the_first_estimate_is_a_promise_that_the_page_remembers() {
    let (env, counter) = restaurant().await;
    let placed = place(&counter, &dine_in()).await;
    let (path, db) = (format!("/t/{}", placed.token), env.connect().await);
    let cook = async |estimate: &str| {
        let sql = format!(
            "with o as (update orders set status = 'cooking', processed_by = 'chef', updated_at = now(),
                estimated_completion = now() + interval '{estimate}' where number = $1 and status = 'received' returning id)
            insert into order_status_log (order_id, status, changed_by) select id, 'cooking', 'chef' from o"
        );
        db.execute(&sql, &[&placed.number]).await.unwrap();
        let sql = format!(
            "update orders set estimated_completion = now() + interval '{estimate}' where number = $1"
        );
        db.execute(&sql, &[&placed.number]).await.unwrap();
    };
    assert_reads(&counter.http.get(&path).await, &["is not known right now"], &["Later than promised"]);
    cook("10 minutes").await;
    let first = counter.http.get(&path).await;
    assert_reads(&first, &["Ready at about"], &["Later than promised"]);
    let cookie = first.header("set-cookie").to_owned();
    assert!(cookie.starts_with("first_estimate=") && cookie.contains(&format!("; Path={path};")), "{cookie}");
    let again = async |value: &str| answer(counter.http.request("GET", &path).header("cookie", value)).await;
    let value = cookie.split(';').next().unwrap();
    cook("20 minutes").await;
    assert_reads(&again(value).await, &["Ready at about", "Later than promised: at first"], &[]);
    assert_reads(&again("first_estimate=1").await, &["Ready at about"], &["Later than promised"]);
    cook("-1 minutes").await;
    let past = format!("first_estimate={}", jiff::Timestamp::now().as_second() - 60);
    assert_reads(&again(&past).await, &["Later than promised: it was to be ready"], &["Ready at about"]);
}

#[tokio::test]
async fn what_is_no_order_is_said_on_a_page_and_a_service_that_is_away_is_tried_again() {
    let (_env, mut counter) = restaurant().await;
    for path in
        ["/t/x", &format!("/t/{WRONG}"), "/track/ORD_20200101_001", "/track/%3Cimg%3E", "/track?number=4711"]
    {
        let page = counter.http.get(path).await;
        assert_eq!(page.status, 404, "{page:?}");
        assert_private(&page);
        assert_reads(&page, &["No such order", "name=\"number\""], &["<img"]);
    }
    let placed = place(&counter, &dine_in()).await;
    let short = placed.number.rsplit_once('_').unwrap().1;
    let found = counter.http.get(&format!("/track?number={short}")).await;
    assert_eq!((found.status, found.header("location")), (303, &*format!("/track/{}", placed.number)));
    counter.tracking.kill();
    let page = counter.http.get(&format!("/t/{}", placed.token)).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert_private(&page);
    let retry = format!("http-equiv=\"refresh\" content=\"{}\"", page.header("retry-after"));
    assert_reads(&page, &[&retry], &[&placed.token]);
}

#[tokio::test]
async fn only_the_customers_own_page_cancels_and_the_token_is_in_no_log() {
    let (env, counter) = restaurant().await;
    let placed = place(&counter, &dine_in()).await;
    let path = format!("/t/{}/cancel", placed.token);
    let send =
        async |site: &str| answer(counter.http.request("POST", &path).header("sec-fetch-site", site)).await;
    send("cross-site").await.problem(403);
    assert_reads(&counter.http.get(&path).await, &["Cancel order", "method=\"post\""], &[]);
    let done = send("same-origin").await;
    assert_eq!((done.status, done.header("location")), (303, &*format!("/t/{}", placed.token)));
    assert_reads(
        &counter.http.get(&format!("/t/{}", placed.token)).await,
        &["Cancelled"],
        &["method=\"post\""],
    );
    assert_eq!(send("same-origin").await.status, 303, "it is cancelled already");
    let late = place(&counter, &dine_in()).await;
    let sql = "with o as (update orders set status = 'cooking', processed_by = 'chef', updated_at = now() where number = $1 returning id)
        insert into order_status_log (order_id, status, changed_by) select id, 'cooking', 'chef' from o";
    env.connect().await.execute(sql, &[&late.number]).await.unwrap();
    let refused = answer(counter.http.request("POST", &format!("/t/{}/cancel", late.token))).await;
    assert_eq!(refused.status, 409);
    assert_private(&refused);
    assert_reads(&refused, &["cannot be cancelled any more", "Being prepared"], &["method=\"post\""]);
    for role in [&counter.order, &counter.tracking, &counter.gateway] {
        let output = role.output().join("\n");
        assert!(!output.contains(&placed.token) && !output.contains(&late.token), "{output}");
    }
}
