//! Which role may do what, route by route.

use super::{Restaurant, STAFF, ask, post};
use crate::support::markdown::{BlockKind, blocks};
use crate::support::{STAFF_TOKEN, answer, delivery};
use restaurant_system::domain::{RIGHTS, StaffRole};
use serde_json::json;

#[tokio::test]
async fn each_role_has_its_rights_route_by_route() {
    let restaurant = Restaurant::start().await;
    let mut tokens = vec![("the token", STAFF_TOKEN.to_owned(), [true; 10])];
    for (name, may) in [
        ("anna", [false, false, false, true, false, false, false, false, false, false]),
        ("carla", [true, true, true, false, false, true, true, true, false, false]),
        ("max", [true; 10]),
    ] {
        tokens.push((name, restaurant.token(name).await, may));
    }
    for (who, token, may) in tokens {
        let [cancel, complete, dispatch, recall, cancel_cooking, names, list, events, actions, resume] = may;
        let http = &restaurant.http;
        let waiting = http.place(&delivery()).await;
        let [ready, out, again] =
            [restaurant.ready_order().await, restaurant.ready_order().await, restaurant.ready_order().await];
        let cooking = restaurant.cooking_order().await;
        let shown = ask(http, "GET", &format!("/orders/{waiting}"), &token).await.ok();
        assert_eq!(shown["customer_name"] == "Ada Lovelace", names, "{who}: {shown}");
        let stream = restaurant.track.stream("/events").bearer_auth(&token).send().await.unwrap();
        assert_eq!(stream.status() == 200, events, "{who}");
        for (method, at, path, may) in [
            ("POST", http, format!("/orders/{waiting}/cancel"), cancel),
            ("POST", http, format!("/orders/{ready}/complete"), complete),
            ("POST", http, format!("/orders/{out}/dispatch"), dispatch),
            ("POST", http, format!("/orders/{again}/recall"), recall),
            ("GET", &restaurant.track, "/orders".to_owned(), list),
            ("GET", http, "/staff/actions".to_owned(), actions),
            ("POST", http, "/intake/resume".to_owned(), resume),
        ] {
            let answer = ask(at, method, &path, &token).await;
            if may {
                assert_eq!(answer.status, 200, "{who} {path}: {answer:?}");
                continue;
            }
            let problem = answer.problem(403);
            let (_, role, _) = STAFF.iter().find(|(name, ..)| *name == who).unwrap();
            assert!(problem["detail"].as_str().unwrap().contains(&format!("the role {role} ")), "{problem}");
        }
        let cancellation =
            post(http, &format!("/orders/{cooking}/cancel"), &token, &json!({"reason": "left"})).await;
        assert_eq!(cancellation.status, if cancel_cooking { 200 } else { 403 }, "{who}: {cancellation:?}");
        let status = http.get(&format!("/orders/{waiting}")).await.json()["status"].clone();
        assert_eq!(status == json!("cancelled"), cancel, "{who}");
    }
}

#[tokio::test]
async fn without_a_token_every_call_for_staff_is_refused() {
    let restaurant = Restaurant::start().await;
    let (http, track) = (&restaurant.http, &restaurant.track);
    for (at, method, path) in [
        (http, "POST", "/orders/ORD_20200101_001/cancel"),
        (http, "POST", "/orders/ORD_20200101_001/complete"),
        (http, "POST", "/orders/ORD_20200101_001/dispatch"),
        (http, "POST", "/orders/ORD_20200101_001/recall"),
        (http, "DELETE", "/sessions/current"),
        (http, "GET", "/staff/actions"),
        (http, "POST", "/intake/resume"),
        (track, "GET", "/orders"),
        (track, "GET", "/events"),
    ] {
        for request in [at.request(method, path), at.request(method, path).bearer_auth("nobody's")] {
            // Each wrong token is shown from another address.
            let from = format!("198.51.100.{}", path.len() * 3 + method.len());
            let refused = answer(request.header("x-forwarded-for", from)).await;
            refused.problem(401);
            assert!(refused.header("www-authenticate").starts_with("Bearer"), "{refused:?}");
        }
    }
}

#[test]
fn the_table_of_rights_is_what_operators_read() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
    let blocks = blocks(&std::fs::read_to_string(document).unwrap());
    let rows: Vec<Vec<String>> =
        blocks.iter().filter(|block| block.kind == BlockKind::Row).map(|block| block.cells()).collect();
    for (right, roles) in RIGHTS {
        let row = rows.iter().find(|row| row[0] == right.what());
        let row = row.unwrap_or_else(|| panic!("no row has {:?}", right.what()));
        let shown: Vec<bool> = row[1..].iter().map(|cell| cell == "yes").collect();
        assert_eq!(shown, StaffRole::ALL.map(|role| roles.contains(&role)), "{right:?}");
    }
}
