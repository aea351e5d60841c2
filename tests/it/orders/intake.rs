//! Whether orders are taken: hours, pauses of the staff, and a kitchen with too much to do (contract, section 12).

use crate::support::{
    Answer, Http, Role, STAFF_TOKEN, TestEnv, answer, delivery, dine_in, eventually, eventually_ok, takeout,
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};

pub(super) fn kind(answer: &Answer, status: u16) -> String {
    answer.problem(status)["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

/// An order service that is ready.
pub(super) async fn start(env: &TestEnv) -> (Role, Http) {
    let service = env.spawn(&["order-service", "--port", "0"]);
    let http = Http::of(&service).await;
    http.wait_ready().await;
    (service, http)
}

async fn pause(http: &Http, pause: &Value) -> Answer {
    answer(http.request("POST", "/intake/pause").bearer_auth(STAFF_TOKEN).json(pause)).await
}

/// `state` and `order_types_paused`.
async fn state(http: &Http) -> (Value, Value) {
    let intake = http.get("/intake").await.ok();
    (intake["state"].clone(), intake["order_types_paused"].clone())
}

/// Hours of one day of the week, so many days from today.
fn hours_in(days: i64) -> String {
    let day = Timestamp::now().to_zoned(TimeZone::UTC).checked_add(days.days()).unwrap();
    format!("restaurant: {{hours: ['{} 10:00-11:30']}}\n", day.strftime("%a").to_string().to_lowercase())
}

#[tokio::test]
async fn without_hours_it_is_open_and_tells_how_long_an_order_takes_where_somebody_cooks_it() {
    let env = TestEnv::new().await;
    env.write_config("kitchen: {cook_seconds: {takeout: 1801}}\n");
    let (_service, http) = start(&env).await;
    let shown = http.get("/intake").await;
    let expected = json!({
        "state": "open", "until": null, "opens_at": null, "order_types_paused": [],
        "estimate_minutes": {"dine_in": null, "takeout": null, "delivery": null},
    });
    assert_eq!(shown.ok(), expected);
    let unmodified = http.request("GET", "/intake").header("if-none-match", shown.header("etag"));
    assert_eq!(answer(unmodified).await.status, 304);

    let _worker = env.spawn(&["kitchen-worker", "--worker-name", "chef", "--order-types", "dine_in,takeout"]);
    let estimates = json!({"dine_in": 1, "takeout": 31, "delivery": null});
    eventually_ok("the worker's estimates", || async {
        let intake = http.get("/intake").await.ok();
        if intake["estimate_minutes"] == estimates { Ok(()) } else { Err(intake) }
    })
    .await;
    // More than half an hour is busy.
    assert_eq!(state(&http).await, (json!("busy"), json!([])));
}

#[tokio::test]
async fn outside_its_hours_orders_are_refused_and_repetitions_are_answered_as_before() {
    let env = TestEnv::new().await;
    let (_always, http) = start(&env).await;
    let first = http.post_keyed("k1", &takeout()).await;
    assert_eq!(first.status, 201, "{first:?}");
    env.write_config(&hours_in(3));
    let (service, closed) = start(&env).await;

    let refused = closed.post(&takeout()).await;
    assert_eq!(kind(&refused, 409), "closed");
    let opens_at = refused.json()["opens_at"].clone();
    let ahead = opens_at.as_str().unwrap().parse::<Timestamp>().unwrap().duration_since(Timestamp::now());
    assert!((48..=96).contains(&ahead.as_hours()), "{refused:?}");
    let intake = closed.get("/intake").await.ok();
    assert_eq!(
        [&intake["state"], &intake["until"], &intake["opens_at"]],
        [&json!("closed"), &opens_at, &opens_at]
    );
    let again = closed.post_keyed("k1", &takeout()).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(kind(&closed.post_keyed("k2", &takeout()).await, 409), "closed");
    // Nothing that was refused has a number, and its key is free.
    assert_eq!(http.post_keyed("k2", &takeout()).await.number().rsplit('_').next(), Some("002"));
    let logged = service.wait_for_action("validation_failed").await;
    assert_eq!(logged["details"], "409 closed");
}

#[tokio::test]
async fn within_its_hours_it_is_open_until_they_end() {
    let env = TestEnv::new().await;
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let end = now.checked_add(3.hours()).unwrap().strftime("%H:%M").to_string();
    env.write_config(&format!("restaurant: {{hours: ['{}-{end}']}}\n", now.strftime("%H:%M")));
    let (_service, http) = start(&env).await;
    http.place(&takeout()).await;
    let intake = http.get("/intake").await.ok();
    assert_eq!((&intake["state"], &intake["opens_at"]), (&json!("open"), &Value::Null));
    assert!(intake["until"].as_str().unwrap().contains(&format!("T{end}:00")), "{intake}");
}

#[tokio::test]
async fn hours_that_are_none_are_a_fault_with_their_line() {
    let env = TestEnv::new().await;
    env.write_config("restaurant:\n  hours:\n    - mon-fri 11:00-14:30\n    - saturday 10:00-12:00\n");
    let output = env.run(&["order-service", "--port", "0"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("restaurant.hours: must be hours such as \"mon-fri 11:00-14:30\""), "{said}");
}

#[tokio::test]
async fn what_staff_pauses_no_service_takes_until_it_is_resumed_or_over() {
    let env = TestEnv::new().await;
    let (_service, http) = start(&env).await;
    let (_second, other) = start(&env).await;
    let first = http.post_keyed("k1", &delivery()).await;

    let told = pause(&http, &json!({"minutes": 20, "order_types": ["delivery"]})).await.ok();
    assert_eq!((&told["state"], &told["order_types_paused"]), (&json!("open"), &json!(["delivery"])));
    let refused = http.post(&delivery()).await;
    assert_eq!(kind(&refused, 503), "paused");
    let wait_s: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1_100..=1_200).contains(&wait_s), "{refused:?}");
    eventually("the other refuses it", || async { other.post(&delivery()).await.status == 503 }).await;
    http.place(&takeout()).await;
    other.place(&dine_in()).await;
    let again = other.post_keyed("k1", &delivery()).await;
    assert_eq!((again.status, &again.text), (201, &first.text));

    let told = pause(&http, &json!({"minutes": 5})).await.ok();
    assert_eq!(told["state"], "paused");
    let until: Timestamp = told["until"].as_str().unwrap().parse().unwrap();
    assert!((200..=300).contains(&until.duration_since(Timestamp::now()).as_secs()), "{told}");
    eventually("the other is paused", || async { state(&other).await.0 == "paused" }).await;
    assert_eq!(kind(&other.post(&takeout()).await, 503), "paused");

    let told = http.staff("POST", "/intake/resume").await.ok();
    assert_eq!((&told["state"], &told["order_types_paused"]), (&json!("open"), &json!([])));
    http.place(&delivery()).await;
    eventually("the other takes it", || async { other.post(&delivery()).await.status == 201 }).await;

    let actions = http.staff("GET", "/staff/actions").await.json();
    let done: Vec<_> =
        actions["actions"].as_array().unwrap().iter().map(|a| (&a["action"], &a["detail"])).collect();
    assert_eq!(
        done,
        [
            (&json!("resume"), &Value::Null),
            (&json!("pause"), &json!("dine_in, takeout, delivery for 5 min")),
            (&json!("pause"), &json!("delivery for 20 min")),
        ]
    );
    let db = env.connect().await;
    pause(&http, &json!({"minutes": 1})).await.ok();
    db.execute("update intake_pauses set ends_at = now() + interval '1 s'", &[]).await.unwrap();
    eventually("it is over by itself", || async { http.post(&takeout()).await.status == 201 }).await;
}

#[tokio::test]
async fn a_pause_says_for_how_long_and_of_which_types() {
    let env = TestEnv::new().await;
    let (_service, http) = start(&env).await;
    let wrong = pause(&http, &json!({"minutes": 0, "order_types": ["drone"]})).await;
    assert_eq!(wrong.violations(422), ["/minutes", "/order_types"]);
    pause(&http, &json!({"minutes": 5, "why": "no dough"})).await.problem(400);
    assert_eq!(state(&http).await, (json!("open"), json!([])));
}

#[tokio::test]
async fn a_kitchen_with_too_much_to_do_pauses_its_type_by_itself() {
    let env = TestEnv::new().await;
    env.write_config("intake: {pause_minutes: 60}\nkitchen: {cook_seconds: {takeout: 3600}}\n");
    let (service, http) = start(&env).await;
    http.place(&takeout()).await;
    let mut worker = env.spawn(&["kitchen-worker", "--worker-name", "chef"]);
    let refused = eventually_ok("takeout is paused", || async {
        let refused = http.post(&takeout()).await;
        if refused.status == 503 { Ok(refused) } else { Err(refused.text) }
    })
    .await;
    assert_eq!(kind(&refused, 503), "paused");
    // Until it is below 48 minutes.
    let wait_s: u64 = refused.header("retry-after").parse().unwrap();
    assert!(wait_s >= 12 * 60, "{refused:?}");
    assert_eq!(state(&http).await, (json!("busy"), json!(["takeout"])));
    http.place(&delivery()).await;
    service.wait_for_action("intake_paused").await;
    // Nobody knows how long it takes then, and it stays paused.
    worker.kill();
    assert_eq!(kind(&http.post(&takeout()).await, 503), "paused");
}
