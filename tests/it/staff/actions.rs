//! What is kept of what the staff did.

use super::{Restaurant, ask};
use crate::support::{STAFF_TOKEN, answer, takeout};
use serde_json::{Value, json};

/// The actions on one page, and where the next one is.
async fn page(restaurant: &Restaurant, token: &str, query: &str) -> (Vec<Value>, Value) {
    let page = ask(&restaurant.http, "GET", &format!("/staff/actions{query}"), token).await.ok();
    (page["actions"].as_array().unwrap().clone(), page["next_cursor"].clone())
}

#[tokio::test]
async fn every_change_carries_the_person_and_is_kept_with_the_request() {
    let restaurant = Restaurant::start().await;
    let (carla, max) = (restaurant.token("carla").await, restaurant.token("max").await);
    let ready = restaurant.ready_order().await;
    let waiting = restaurant.http.place(&takeout()).await;
    let completed = ask(&restaurant.http, "POST", &format!("/orders/{ready}/complete"), &carla).await;
    assert_eq!(completed.status, 200);
    let cancelled = ask(&restaurant.http, "POST", &format!("/orders/{waiting}/cancel"), STAFF_TOKEN).await;
    assert_eq!(cancelled.status, 200);
    // What did not happen is not kept.
    ask(&restaurant.http, "POST", &format!("/orders/{waiting}/cancel"), &max).await.problem(409);

    let (actions, next) = page(&restaurant, &max, "").await;
    let expected = [
        json!({"name": "api", "role": null, "action": "cancel", "order_number": waiting, "detail": null,
               "request_id": cancelled.header("x-request-id")}),
        json!({"name": "carla", "role": "counter", "action": "complete", "order_number": ready, "detail": null,
               "request_id": completed.header("x-request-id")}),
    ];
    let without_time: Vec<Value> = actions
        .iter()
        .cloned()
        .map(|mut action| {
            let time = action.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
            action
        })
        .collect();
    assert_eq!((&without_time[..], next), (&expected[..], Value::Null));
    for (number, by) in [(&ready, "staff:carla"), (&waiting, "staff:api")] {
        let history = restaurant.track.get(&format!("/orders/{number}/history")).await.json();
        assert_eq!(history.as_array().unwrap().last().unwrap()["changed_by"], by);
    }
    let line =
        restaurant.orders.wait_for_log("of carla", |log| log["action"] == "order_status_changed").await;
    assert_eq!(line["actor"], "carla", "{line}");
}

#[tokio::test]
async fn the_list_is_read_page_by_page_while_it_grows() {
    let restaurant = Restaurant::start().await;
    let max = restaurant.token("max").await;
    let insert = "insert into staff_actions (name, action, detail) select 'max', 'test', n::text from generate_series(1, 7) as n";
    restaurant.db.batch_execute(insert).await.unwrap();
    let (mut seen, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let (actions, next) = page(&restaurant, &max, &query).await;
        seen.extend(actions.iter().map(|action| action["detail"].as_str().unwrap().to_owned()));
        restaurant
            .db
            .batch_execute("insert into staff_actions (name, action) values ('max', 'later')")
            .await
            .unwrap();
        let Some(next) = next.as_str() else { break };
        query = format!("?limit=3&cursor={next}");
    }
    assert_eq!(seen, ["7", "6", "5", "4", "3", "2", "1"]);
    for query in ["?limit=0", "?limit=201", "?cursor=x", "?order=1"] {
        let asked = restaurant.http.request("GET", &format!("/staff/actions{query}")).bearer_auth(&max);
        answer(asked).await.problem(400);
    }
}

#[tokio::test]
async fn what_was_done_is_never_changed_or_removed() {
    let restaurant = Restaurant::start().await;
    restaurant
        .db
        .batch_execute("insert into staff_actions (name, action) values ('max', 'test')")
        .await
        .unwrap();
    for sql in
        ["update staff_actions set name = 'anna'", "delete from staff_actions", "truncate staff_actions"]
    {
        let refused = restaurant.db.batch_execute(sql).await.expect_err(sql);
        let constraint = refused.as_db_error().and_then(|error| error.constraint());
        assert_eq!(constraint, Some("staff_actions_append_only"), "{sql}");
    }
}
