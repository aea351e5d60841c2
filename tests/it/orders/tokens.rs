//! An order's token: the link to it, what it shows, and its customer's cancellation.

use super::client::{OrderService, spawn};
use crate::support::{
    Answer, Events, Http, TestEnv, answer, delivery, dine_in, eventually_ok, item, takeout, with,
};
use serde_json::{Value, json};

/// The token of an order that was just placed, from its link.
fn token_of(placed: &Answer) -> String {
    let url = placed.json()["tracking_url"].as_str().unwrap().to_owned();
    url.rsplit_once("/t/").unwrap().1.to_owned()
}

/// Another token than any order has.
const WRONG: &str = "AAAAAAAAAAAAAAAAAAAAAA";

async fn with_token(http: &Http, method: &str, path: &str, token: &str) -> Answer {
    answer(http.request(method, path).header("x-order-token", token)).await
}

fn members(shown: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn an_order_is_placed_with_a_link_to_it_of_its_own() {
    let env = TestEnv::new().await;
    let (role, http) = spawn(&env, &[]).await;
    let first = http.post_keyed("k", &takeout()).await;
    let link = first.json()["tracking_url"].as_str().unwrap().to_owned();
    assert_eq!(link, format!("/t/{}", token_of(&first)));
    drop(role);
    env.edit_config(|text| format!("{text}restaurant: {{public_url: \"https://pizza.example.org/\"}}\n"));
    let (_role, http) = spawn(&env, &[]).await;
    let mut tokens = vec![token_of(&first)];
    for placed in [http.post(&takeout()).await, http.post_keyed("l", &dine_in()).await] {
        let token = token_of(&placed);
        assert_eq!(placed.json()["tracking_url"], format!("https://pizza.example.org/t/{token}"));
        tokens.push(token);
    }
    assert_eq!(token_of(&http.post_keyed("k", &takeout()).await), tokens[0], "a repetition");
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(tokens.iter().all(|token| token.len() == 22 && token.chars().all(is_base64url)), "{tokens:?}");
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
}

#[tokio::test]
async fn a_stranger_learns_status_times_and_type_its_customer_what_was_ordered_and_staff_all() {
    let service = OrderService::start().await;
    let http = &service.http;
    let order = with(&with(&delivery(), "/notes", json!("Ring twice")), "/items/0/notes", json!("no olives"));
    let placed = http.post(&order).await;
    let (path, token) = (format!("/orders/{}", placed.number()), token_of(&placed));
    let other = token_of(&http.post(&takeout()).await);

    const OF_STRANGERS: [&str; 7] =
        ["completed_at", "created_at", "order_number", "order_type", "processed_by", "status", "updated_at"];
    let plain = http.get(&path).await;
    for seen in [&other, WRONG, "", "x"] {
        assert_eq!(with_token(http, "GET", &path, seen).await.text, plain.text);
    }
    assert_eq!(members(&plain.ok()), OF_STRANGERS);

    let mine = with_token(http, "GET", &path, &token).await;
    assert_eq!(with_token(http, "GET", "/orders/mine", &token).await.text, mine.text);
    let shown = mine.ok();
    let mut of_customers = [&OF_STRANGERS[..], &["items", "notes", "total_amount"]].concat();
    of_customers.sort_unstable();
    assert_eq!(members(&shown), of_customers);
    assert_eq!(
        shown["items"],
        json!([{"name": "Margherita Pizza", "quantity": 1, "price": 15.99, "options": [], "allergens": [], "notes": "no olives"}])
    );
    assert_eq!((&shown["notes"], &shown["total_amount"]), (&json!("Ring twice"), &json!(15.99)));
    for private in ["Ada", "Lovelace", "Analytical", &token] {
        assert!(!mine.text.contains(private), "{mine:?}");
    }
    let staff = http.staff("GET", &path).await;
    assert!(!staff.text.contains(&token), "{staff:?}");
    let staff = staff.ok();
    assert_eq!(
        (&staff["customer_name"], &staff["delivery_address"], &staff["notes"], &staff["priority"]),
        (&json!("Ada Lovelace"), &json!("12 Analytical Row, London"), &json!("Ring twice"), &json!(1))
    );
    let table = http.post(&dine_in()).await;
    let shown = with_token(http, "GET", "/orders/mine", &token_of(&table)).await.ok();
    assert_eq!((&shown["table_number"], &shown["order_number"]), (&json!(7), &json!(table.number())));
    answer(http.request("GET", &path).bearer_auth("wrong")).await.problem(401);
}

#[tokio::test]
async fn a_customer_cancels_an_order_by_its_token_while_it_is_received() {
    let service = OrderService::start().await;
    service.env.rabbit.declare_bound_queue("updates", "notifications_fanout", "").await;
    let http = &service.http;
    let placed = http.post(&takeout()).await;
    let (cancel, token) = (format!("/orders/{}/cancel", placed.number()), token_of(&placed));
    let other = token_of(&http.post(&delivery()).await);
    with_token(http, "POST", &cancel, &other).await.problem(403);
    with_token(http, "POST", "/orders/ORD_20200101_001/cancel", &token).await.problem(404);
    let reason = http.request("POST", &cancel).header("x-order-token", &token);
    let cancelled = answer(reason.json(&json!({"reason": "I am ill"}))).await.ok();
    assert_eq!(cancelled, json!({"order_number": placed.number(), "status": "cancelled"}));
    let late = with_token(http, "POST", &cancel, &token).await.problem(409);
    assert!(late["detail"].as_str().unwrap().contains("is cancelled"), "{late}");

    let db = service.env.connect().await;
    let sql = "select l.changed_by, l.previous_status, l.notes, (select count(*) from staff_actions)
        from order_status_log l where l.status = 'cancelled'";
    let row = db.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "customer");
    assert_eq!(row.get::<_, &str>(1), "received");
    assert_eq!((row.get::<_, Option<&str>>(2), row.get::<_, i64>(3)), (None, 0));
    service.env.rabbit.wait_for_depth("updates", 1).await;
    let update = service.env.rabbit.take_messages("updates", 1).await.remove(0).json();
    assert_eq!((&update["new_status"], &update["changed_by"]), (&json!("cancelled"), &json!("customer")));

    let placed = http.post(&takeout()).await;
    db.execute("update orders set status = 'cooking', processed_by = 'chef' where status = 'received'", &[])
        .await
        .unwrap();
    let cancel = format!("/orders/{}/cancel", placed.number());
    with_token(http, "POST", &cancel, &token_of(&placed)).await.problem(409);
    // Whoever shows that they are staff is taken at their word.
    let both = http.request("POST", &cancel).header("x-order-token", token_of(&placed)).bearer_auth("wrong");
    answer(both).await.problem(401);
}

#[tokio::test]
async fn after_five_wrong_tokens_in_a_minute_the_right_ones_alone_are_answered() {
    let service = OrderService::start().await;
    let http = &service.http;
    let placed = http.post(&takeout()).await;
    let (token, cancel) = (token_of(&placed), format!("/orders/{}/cancel", placed.number()));
    http.get("/orders/mine").await.problem(400);
    for guess in [WRONG, "x", ""] {
        with_token(http, "GET", "/orders/mine", guess).await.problem(404);
    }
    let twice = http.request("GET", "/orders/mine").header("x-order-token", &token);
    answer(twice.header("x-order-token", &token)).await.problem(404);
    with_token(http, "POST", &cancel, WRONG).await.problem(403);
    for (method, path) in [("GET", "/orders/mine"), ("POST", &cancel)] {
        let limited = with_token(http, method, path, WRONG).await;
        assert_eq!(limited.problem(429)["type"], "urn:restaurant-system:problem:too-many-requests");
        assert!((1..=60).contains(&limited.header("retry-after").parse::<u64>().unwrap()), "{limited:?}");
    }
    let line = service.role.wait_for_action("order_token_refused").await;
    assert_eq!((&line["address"], &line["level"]), (&json!("127.0.0.1"), &json!("WARN")), "{line}");
    with_token(http, "GET", "/orders/mine", &token).await.ok();
    with_token(http, "POST", &cancel, &token).await.ok();
}

#[tokio::test]
async fn no_log_no_message_no_problem_and_no_stream_has_a_token() {
    let service = OrderService::start_with(&["--log-level", "trace"]).await;
    let (env, http) = (&service.env, &service.http);
    env.rabbit.declare_bound_queue("orders_seen", "orders_topic", "#").await;
    env.rabbit.declare_bound_queue("updates_seen", "notifications_fanout", "").await;
    let tracking = env.spawn(&["tracking-service", "--port", "0", "--log-level", "trace"]);
    let placed = http.post_keyed("k", &takeout()).await;
    let (number, token) = (placed.number(), token_of(&placed));
    let track = Http::of(&tracking).await;
    track.wait_ready().await;
    let mut told = String::new();
    for path in ["/orders/mine", "/orders/ORD_20200101_001"] {
        told += &with_token(http, "GET", path, &token).await.text;
    }
    for (path, status) in [("cancel", 200), ("cancel", 409), ("complete", 401)] {
        let answer = with_token(http, "POST", &format!("/orders/{number}/{path}"), &token).await;
        assert_eq!(answer.status, status, "{answer:?}");
        told += &answer.text;
    }
    told += &track.get(&format!("/orders/{number}/history")).await.text;
    told += &track.get(&format!("/orders/{number}/status")).await.text;
    let mut events = Events::open(&track, &format!("/orders/{number}/events"), None).await;
    while let Some(event) = events.next().await {
        told += &format!("{event:?}");
    }
    for queue in ["orders_seen", "updates_seen"] {
        let message =
            eventually_ok(queue, || async { env.rabbit.take_messages(queue, 1).await.pop().ok_or("none") });
        told += &format!("{:?}", message.await);
    }
    service.role.wait_for_log("of the cancellation", |log| log["details"] == "cancelled").await;
    for line in service.role.output().iter().chain(&tracking.output()).chain([&told]) {
        assert!(!line.contains(&token), "{line}");
    }
}

#[tokio::test]
async fn an_order_that_an_older_version_takes_has_no_link_and_lets_nobody_in() {
    let service = OrderService::start().await;
    let order = with(&takeout(), "/items", json!([item("Soup", 1, 4.5)]));
    let placed = service.http.post_keyed("k", &order).await;
    let db = service.env.connect().await;
    db.execute("update orders set tracking_token = null", &[]).await.unwrap();
    let again = service.http.post_keyed("k", &order).await;
    assert_eq!(again.number(), placed.number());
    assert_eq!(members(&again.json()), ["order_number", "status", "total_amount"]);
    let path = format!("/orders/{}", placed.number());
    for token in ["", WRONG, &token_of(&placed)] {
        let shown = with_token(&service.http, "GET", &path, token).await.ok();
        assert_eq!(shown.get("items"), None, "{token:?}");
        with_token(&service.http, "POST", &format!("{path}/cancel"), token).await.problem(403);
    }
}
