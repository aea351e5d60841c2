//! When a session is over, and that it is over everywhere.

use super::{Restaurant, ask};
use crate::support::{Events, Http, STAFF_TOKEN, answer};
use restaurant_system::domain::RIGHTS;
use serde_json::{Value, json};

/// What `/staff/actions` and the lists say to a token.
async fn statuses(restaurant: &Restaurant, token: &str) -> [u16; 2] {
    [
        ask(&restaurant.http, "GET", "/staff/actions", token).await.status,
        ask(&restaurant.track, "GET", "/orders", token).await.status,
    ]
}

#[tokio::test]
async fn a_session_is_over_when_nobody_used_it_for_twelve_hours_or_after_a_day() {
    let restaurant = Restaurant::start().await;
    for (column, still, over) in [
        ("last_used_at", "11:59", "12:01"),
        ("created_at", "23:59", "24:01"),
        ("last_used_at", "0:01", "24:00"),
    ] {
        let token = restaurant.token("max").await;
        for (age, expected) in [(still, 200), (over, 401)] {
            let sql = format!(
                "update staff_sessions set {column} = now() - '{age}'::interval where ended_at is null"
            );
            restaurant.db.batch_execute(&sql).await.unwrap();
            assert_eq!(statuses(&restaurant, &token).await, [expected; 2], "{column} {age}");
        }
    }
    let refused = ask(&restaurant.http, "GET", "/staff/actions", "another one").await;
    assert_eq!(refused.status, 401, "sessions that are over are no guesses");
}

#[tokio::test]
async fn a_token_says_whose_it_is_and_what_that_person_may() {
    let restaurant = Restaurant::start().await;
    let carla = json!({
        "name": "carla", "role": "counter",
        "rights": ["complete", "dispatch", "cancel_received", "sold_out", "lists"]
    });
    let token = restaurant.token("carla").await;
    assert_eq!(ask(&restaurant.http, "GET", "/sessions/current", &token).await.ok(), carla);
    let api = ask(&restaurant.http, "GET", "/sessions/current", STAFF_TOKEN).await.ok();
    assert_eq!((&api["name"], &api["role"]), (&json!("api"), &Value::Null));
    assert_eq!(api["rights"].as_array().unwrap().len(), RIGHTS.len());
    ask(&restaurant.http, "GET", "/sessions/current", "another one").await.problem(401);
}

#[tokio::test]
async fn a_session_that_is_used_at_either_service_is_renewed() {
    let restaurant = Restaurant::start().await;
    let token = restaurant.token("max").await;
    for (at, path) in [(&restaurant.http, "/staff/actions"), (&restaurant.track, "/orders")] {
        restaurant
            .db
            .batch_execute("update staff_sessions set last_used_at = now() - '11 hours'::interval")
            .await
            .unwrap();
        assert_eq!(ask(at, "GET", path, &token).await.status, 200);
        let sql = "select last_used_at > now() - '1 minute'::interval from staff_sessions";
        assert!(restaurant.db.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "{path}");
    }
}

#[tokio::test]
async fn a_session_that_is_ended_is_over_everywhere_and_so_are_its_streams() {
    let restaurant = Restaurant::start().await;
    let (token, other) = (restaurant.token("max").await, restaurant.token("max").await);
    assert_eq!(statuses(&restaurant, &token).await, [200; 2]);
    let mut stream = Events::open(&Http::with_token(&restaurant.track.url, &token), "/events", None).await;
    let ended = ask(&restaurant.http, "DELETE", "/sessions/current", &token).await;
    assert_eq!((ended.status, ended.text.as_str()), (204, ""));
    assert_eq!(statuses(&restaurant, &token).await, [401; 2]);
    ask(&restaurant.http, "DELETE", "/sessions/current", &token).await.problem(401);
    assert_eq!(stream.next().await, None);
    // Nobody else is concerned, and a screen that was left on is no guess.
    for _ in 0..10 {
        assert_eq!(statuses(&restaurant, &token).await, [401; 2]);
    }
    assert_eq!(statuses(&restaurant, &other).await, [200; 2]);
    ask(&restaurant.http, "DELETE", "/sessions/current", STAFF_TOKEN).await.problem(404);
}

#[tokio::test]
async fn a_stream_of_somebody_whose_session_goes_on_goes_on() {
    let restaurant = Restaurant::start().await;
    let token = restaurant.token("carla").await;
    let mut events = Events::open(&Http::with_token(&restaurant.track.url, &token), "/events", None).await;
    // Longer than the time after which a stream asks whether its session is over.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let number = restaurant.http.place(&crate::support::takeout()).await;
    assert_eq!(events.next().await.unwrap().order(), number);
}

#[tokio::test]
async fn sessions_wait_for_postgresql_and_the_token_does_not() {
    let mut restaurant = Restaurant::start().await;
    let token = restaurant.token("max").await;
    let lock = restaurant.db.transaction().await.unwrap();
    lock.batch_execute("lock table staff_sessions in access exclusive mode").await.unwrap();
    assert_eq!(ask(&restaurant.http, "GET", "/staff/actions", STAFF_TOKEN).await.status, 200);
    lock.rollback().await.unwrap();
    let path = "/orders/ORD_20200101_001";
    let nobody = answer(restaurant.http.request("GET", path)).await;
    assert_eq!((nobody.status, ask(&restaurant.http, "GET", path, &token).await.status), (404, 404));
}
