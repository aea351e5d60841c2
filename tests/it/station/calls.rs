//! What each call changes, what it refuses, and that a repetition changes nothing.

use super::{Grill, STATION, change};
use crate::support::answer;
use serde_json::json;

const A: &str = "ORD_20261130_001";
const B: &str = "ORD_20261130_002";
const C: &str = "ORD_20261130_003";

#[tokio::test]
async fn a_ticket_shows_the_order_and_nothing_of_the_customer() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.place(B).await;
    let shown = grill.tickets().await;
    assert!(!shown.to_string().contains("Ada"), "{shown}");
    assert_eq!((&shown["station"], &shown["waiting"]), (&json!(STATION), &json!(1)));
    assert_eq!((&shown["bump_undo_seconds"], &shown["recall_minutes"]), (&json!(3.0), &json!(15)));
    assert_eq!((&shown["late"], &shown["ready"]), (&json!({"warn": 0.6, "late": 1.0}), &json!([])));
    let ticket = &shown["tickets"][0];
    let expected = json!({
        "order_number": A, "attempt": 1, "status": "cooking", "order_type": "dine_in", "table_number": 7, "priority": 1,
        "promoted": false, "started_at": null, "started_by": null, "bumped_at": null, "bumped_by": null, "ready_at": null,
        "recalled": false, "acknowledged": false, "notes": "allergic to nuts",
        "items": [
            {"item": 0, "name": "Pizza", "quantity": 2, "options": [], "notes": "no basil", "allergens": [], "done": false, "done_by": null},
            {"item": 1, "name": "Salad", "quantity": 2, "options": [], "notes": null, "allergens": [], "done": false, "done_by": null},
        ],
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&ticket[member], value, "{member}");
    }
    let sql = "select to_char(created_at + interval '600 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') from orders where number = $1";
    grill.db.batch_execute("set time zone 'UTC'").await.unwrap();
    let target: String = grill.db.query_one(sql, &[&A]).await.unwrap().get(0);
    assert_eq!((&ticket["target_at"], &ticket["late_at"]), (&json!(target), &json!(target)));
    assert!(ticket["warn_at"].as_str() < ticket["late_at"].as_str());
}

#[tokio::test]
async fn a_ticket_shows_what_was_chosen_and_what_the_menu_says_is_in_it() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let sql = r#"update order_items set options = '["Large", "Olives"]', allergens = '["gluten", "milk"]' where name = 'Pizza'"#;
    grill.db.batch_execute(sql).await.unwrap();
    let shown = grill.tickets().await;
    let items = &shown["tickets"][0]["items"];
    assert_eq!((&items[0]["options"], &items[1]["options"]), (&json!(["Large", "Olives"]), &json!([])));
    assert_eq!((&items[0]["allergens"], &items[1]["allergens"]), (&json!(["gluten", "milk"]), &json!([])));
}

#[tokio::test]
async fn tickets_stand_in_the_order_in_which_they_are_to_be_cooked() {
    let grill = Grill::start().await;
    for number in [A, B, C] {
        grill.ticket(number).await;
    }
    let order = async || {
        let shown = grill.tickets().await;
        let numbers =
            shown["tickets"].as_array().unwrap().iter().map(|ticket| ticket["order_number"].clone());
        serde_json::Value::from(numbers.collect::<Vec<_>>())
    };
    assert_eq!(order().await, json!([A, B, C]));
    grill.db.execute("update orders set priority = 10 where number = $1", &[&C]).await.unwrap();
    assert_eq!(order().await, json!([C, A, B]));
    let sql = "update orders set created_at = now() - interval '20 min' where number = $1";
    grill.db.execute(sql, &[&B]).await.unwrap();
    assert_eq!(order().await, json!([B, C, A]), "the promoted first");
    assert_eq!(grill.tickets().await["tickets"][0]["promoted"], true);
}

#[tokio::test]
async fn each_change_is_kept_with_who_made_it_and_a_repetition_changes_nothing() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    for (what, body) in [
        ("start", json!({"attempt": 1})),
        ("items/1/done", json!({"attempt": 1})),
        ("items/0/done", json!({"attempt": 1, "done": true})),
        ("items/1/done", json!({"attempt": 1, "done": false})),
        ("bump", json!({"attempt": 1})),
    ] {
        let first = answer(change(&grill.http, what, A, &body)).await.ok();
        let revision = grill.tickets().await["revision"].clone();
        let second = answer(change(&grill.http, what, A, &body)).await.ok();
        assert_eq!(first, second, "{what}");
        assert_eq!(grill.tickets().await["revision"], revision, "{what}");
        assert_eq!(grill.tickets().await["tickets"][0], first, "{what}");
    }
    let ticket = &grill.tickets().await["tickets"][0];
    assert_eq!((&ticket["started_by"], &ticket["bumped_by"]), (&json!("api"), &json!("api")));
    assert_eq!(ticket["items"][0]["done_by"], "api");
    assert_eq!(ticket["items"][1]["done"], false);
    assert!(ticket["ready_at"].as_str() > ticket["bumped_at"].as_str(), "{ticket}");
    let expected = ["start", "item", "item", "item", "bump"].map(|what| format!("api {what} {A}"));
    let acted = grill.actions().await;
    assert_eq!(acted.len(), expected.len(), "{acted:?}");
    for (acted, expected) in acted.iter().zip(&expected) {
        assert!(acted.starts_with(expected), "{acted}");
    }
    // The worker is told.
    grill.look.notified().await;

    assert!(grill.finish(A).await);
    let shown = grill.tickets().await;
    assert_eq!((&shown["tickets"], &shown["ready"][0]["order_number"]), (&json!([]), &json!(A)));
    for (what, status) in [("start", 200), ("bump", 200), ("items/0/done", 200), ("items/1/done", 409)] {
        assert_eq!(grill.does(what, A, 1).await.status, status, "{what} repeated late");
    }
}

#[tokio::test]
async fn another_attempt_is_refused_and_both_are_named() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.does("start", A, 1).await.ok();
    grill.take(A).await;
    for what in ["start", "items/0/done", "bump", "recall", "acknowledge"] {
        let problem = grill.does(what, A, 1).await.problem(409);
        assert_eq!(problem["type"], "urn:restaurant-system:problem:other-attempt");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("attempt 2") && detail.contains("attempt 1"), "{what}: {detail}");
        assert_eq!(grill.does(what, A, 3).await.status, 409, "{what}");
    }
    let ticket = &grill.tickets().await["tickets"][0];
    assert_eq!(
        (&ticket["attempt"], &ticket["started_by"]),
        (&json!(2), &json!("api")),
        "marks outlive attempts"
    );
}

#[tokio::test]
async fn what_is_not_at_the_station_is_not_found() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    grill.place(B).await;
    for number in [B, C, "ORD_1", "%20"] {
        for what in ["start", "items/0/done", "bump", "recall", "acknowledge"] {
            assert_eq!(grill.does(what, number, 1).await.status, 404, "{what} {number}");
        }
    }
    for what in ["items/2/done", "items/65535/done", "items/65536/done", "items/-1/done", "items/x/done"] {
        assert_eq!(grill.does(what, A, 1).await.status, 404, "{what}");
    }
    for elsewhere in ["processed_by = 'chef_anna'", "processed_by = 'grill', claimed_at = null"] {
        grill.db.batch_execute(&format!("update orders set {elsewhere}")).await.unwrap_or_default();
        grill
            .db
            .batch_execute(&format!("update orders set {elsewhere} where status = 'cooking'"))
            .await
            .unwrap();
        assert_eq!(grill.does("bump", A, 1).await.status, 404, "{elsewhere}");
        assert_eq!(grill.tickets().await["tickets"], json!([]), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_cancelled_order_stays_until_a_person_has_seen_it() {
    let grill = Grill::start().await;
    for number in [A, B] {
        grill.ticket(number).await;
    }
    grill.does("bump", B, 1).await.ok();
    assert_eq!(
        grill.does("acknowledge", A, 1).await.problem(409)["detail"],
        "the order is cooking; only one that is cancelled can be acknowledged"
    );
    for number in [A, B] {
        grill.cancel(number).await;
        for what in ["start", "items/0/done", "bump", "recall"] {
            let problem = grill.does(what, number, 1).await.problem(409);
            assert!(problem["detail"].as_str().unwrap().contains("cancelled"), "{what}: {problem}");
        }
        let shown = grill.tickets().await;
        let ticket =
            shown["tickets"].as_array().unwrap().iter().find(|ticket| ticket["order_number"] == number);
        let ticket = ticket.unwrap_or_else(|| panic!("{shown}"));
        assert_eq!((&ticket["status"], &ticket["ready_at"]), (&json!("cancelled"), &json!(null)));
        let seen = grill.does("acknowledge", number, 1).await.ok();
        assert_eq!(
            (&seen["acknowledged"], &seen),
            (&json!(true), &grill.does("acknowledge", number, 1).await.ok())
        );
    }
    assert_eq!(grill.tickets().await["tickets"], json!([]));
}

#[tokio::test]
async fn a_body_is_read_strictly() {
    let grill = Grill::start().await;
    grill.ticket(A).await;
    let send = async |what: &str, body: &str| {
        let request = change(&grill.http, what, A, &json!(null));
        answer(request.body(body.to_owned())).await
    };
    for (body, status) in [
        ("{", 400),
        ("[1]", 400),
        (r#"{"attempt":1,"done":true}"#, 400),
        (r#"{"attempt":1,"attempt":1}"#, 400),
        ("{}", 422),
        (r#"{"attempt":"1"}"#, 422),
        (r#"{"attempt":1.0}"#, 422),
        (r#"{"attempt":0}"#, 422),
        (r#"{"attempt":99999999999}"#, 422),
    ] {
        assert_eq!(send("bump", body).await.status, status, "{body}");
    }
    let both = send("items/0/done", r#"{"done":1}"#).await;
    assert_eq!(both.violations(422), ["/attempt", "/done"]);
    assert_eq!(grill.tickets().await["tickets"][0]["bumped_at"], json!(null));
}
