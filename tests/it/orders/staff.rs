//! What is for staff: who orders and where to, cancelling, and handing over.

use super::client::{OrderService, spawn};
use crate::support::{Role, STAFF_TOKEN, TestEnv, answer, delivery, eventually, takeout};
use serde_json::json;

#[tokio::test]
async fn staff_calls_want_the_token_before_anything_else() {
    let service = OrderService::start().await;
    let number = service.http.place(&takeout()).await;
    for path in [
        format!("/orders/{number}/cancel"),
        "/orders/ORD_20200101_001/complete".to_owned(),
        "/orders/x/cancel".to_owned(),
    ] {
        // One address may show five wrong tokens in a minute.
        let bad = [
            None,
            Some("Bearer".to_owned()),
            Some(format!("Basic {STAFF_TOKEN}")),
            Some(format!("Bearer {STAFF_TOKEN}x")),
        ];
        for value in bad {
            let request = service.http.request("POST", &path);
            let answer = answer(match &value {
                Some(value) => request.header("authorization", value),
                None => request,
            })
            .await;
            answer.problem(401);
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
        }
    }
    assert_eq!(service.http.get(&format!("/orders/{number}")).await.json()["status"], "received");
}

#[tokio::test]
async fn an_order_is_cancelled_once_and_only_while_it_is_received() {
    let service = OrderService::start().await;
    let number = service.http.place(&takeout()).await;
    let cancel = format!("/orders/{number}/cancel");
    let cancelled = service.http.staff("POST", &cancel).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    service.http.staff("POST", &cancel).await.problem(409);
    service.http.staff("POST", &format!("/orders/{number}/complete")).await.problem(409);
    let database = service.env.connect().await;
    let sql = "select string_agg(l.status, ' ' order by l.id) from order_status_log l join orders o on o.id = l.order_id where o.number = $1";
    assert_eq!(database.query_one(sql, &[&number]).await.unwrap().get::<_, &str>(0), "received cancelled");
    assert_eq!(service.http.get(&format!("/orders/{number}")).await.json()["status"], "cancelled");
}

/// A kitchen in which each order is ready at once.
async fn with_ready_order() -> (OrderService, Role, String) {
    let service = OrderService::start().await;
    let number = service.http.place(&takeout()).await;
    let worker = service.env.spawn(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]);
    worker.wait_for_action("order_completed").await;
    (service, worker, number)
}

#[tokio::test]
async fn an_order_that_is_being_cooked_is_cancelled_with_a_reason_alone() {
    let service = OrderService::start().await;
    let number = service.http.place(&takeout()).await;
    let worker =
        service.env.spawn(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "600"]);
    worker.wait_for_action("order_processing_started").await;
    let path = format!("/orders/{number}/cancel");
    let asked = async |body: &'static str| {
        let request = service.http.request("POST", &path).bearer_auth(STAFF_TOKEN);
        answer(request.header("content-type", "application/json").body(body)).await
    };
    let unread = service.http.request("POST", &path).body("{}").header("content-type", "application/json");
    answer(unread).await.problem(401);
    assert_eq!(service.http.staff("POST", &path).await.violations(422), ["/reason"]);
    let too_long: &str = Box::leak(format!(r#"{{"reason": "{}"}}"#, "x".repeat(201)).into_boxed_str());
    for body in [
        "{}",
        r#"{"reason": null}"#,
        r#"{"reason": 5}"#,
        r#"{"reason": ""}"#,
        r#"{"reason": "a\nb"}"#,
        too_long,
    ] {
        assert_eq!(asked(body).await.violations(422), ["/reason"], "{body}");
    }
    asked("{").await.problem(400);
    assert_eq!(asked(r#"{"why": "x"}"#).await.violations(400), ["/why"]);
    assert_eq!(service.http.get(&format!("/orders/{number}")).await.json()["status"], "cooking");
    let cancelled = asked(r#"{"reason": "the customer has left"}"#).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")), "{cancelled:?}");
    asked(r#"{"reason": "again"}"#).await.problem(409);
    worker.wait_for_action("order_let_go").await;
    for line in service.role.logs() {
        assert!(!line.to_string().contains("has left"), "{line}");
    }
}

#[tokio::test]
async fn an_order_is_recalled_while_it_is_ready_for_as_long_as_the_configuration_says() {
    let (service, worker, number) = with_ready_order().await;
    let recall = format!("/orders/{number}/recall");
    drop(worker);
    let database = service.env.connect().await;
    let sql = "update orders set completed_at = now() - interval '15 min 1 s'";
    database.execute(sql, &[]).await.unwrap();
    let late = service.http.staff("POST", &recall).await.problem(409);
    assert!(late["detail"].as_str().unwrap().contains("15 minutes"), "{late}");
    database.execute("update orders set completed_at = now() - interval '14 min'", &[]).await.unwrap();
    let recalled = service.http.staff("POST", &recall).await;
    assert_eq!((recalled.status, &recalled.json()["status"]), (200, &json!("cooking")), "{recalled:?}");
    service.http.staff("POST", &recall).await.problem(409);
    service.http.staff("POST", &format!("/orders/{number}/complete")).await.problem(409);
    service.http.staff("POST", "/orders/ORD_20200101_001/recall").await.problem(404);
    let waiting = service.http.place(&takeout()).await;
    service.http.staff("POST", &format!("/orders/{waiting}/recall")).await.problem(409);
}

#[tokio::test]
async fn an_order_is_completed_once_and_only_when_it_is_ready() {
    let service = OrderService::start().await;
    service.env.rabbit.wait_for_consumers("kitchen_takeout_queue", 0).await;
    service.env.rabbit.declare_bound_queue("updates", "notifications_fanout", "").await;
    let number = service.http.place(&takeout()).await;
    let complete = format!("/orders/{number}/complete");
    service.http.staff("POST", &complete).await.problem(409);
    let worker = service.env.spawn(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]);
    worker.wait_for_action("order_completed").await;
    service.http.staff("POST", &format!("/orders/{number}/cancel")).await.problem(409);
    let completed = service.http.staff("POST", &complete).await;
    assert_eq!((completed.status, &completed.json()["status"]), (200, &json!("completed")), "{completed:?}");
    service.http.staff("POST", &complete).await.problem(409);
    service.http.staff("POST", &format!("/orders/{number}/cancel")).await.problem(409);
    service.env.rabbit.wait_for_depth("updates", 3).await;
    let update = service.env.rabbit.take_messages("updates", 3).await.remove(2).json();
    assert_eq!(
        (&update["old_status"], &update["new_status"], &update["order_number"]),
        (&json!("ready"), &json!("completed"), &json!(number))
    );
}

#[tokio::test]
async fn a_delivery_goes_out_when_it_is_ready_and_nothing_else_does() {
    let service = OrderService::start().await;
    let (number, takeout) = (service.http.place(&delivery()).await, service.http.place(&takeout()).await);
    let dispatch = format!("/orders/{number}/dispatch");
    service.http.staff("POST", &dispatch).await.problem(409);
    let _worker = service.env.spawn(&["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0"]);
    let statuses = async || {
        let mut found = Vec::new();
        for number in [&number, &takeout] {
            found.push(service.http.get(&format!("/orders/{number}")).await.json()["status"].clone());
        }
        found
    };
    eventually("both are ready", async || statuses().await == ["ready", "ready"]).await;
    let refused = service.http.staff("POST", &format!("/orders/{takeout}/dispatch")).await.problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("takeout"), "{refused}");
    let sent = service.http.staff("POST", &dispatch).await;
    assert_eq!((sent.status, &sent.json()["status"]), (200, &json!("out_for_delivery")), "{sent:?}");
    service.http.staff("POST", &dispatch).await.problem(409);
    service.http.staff("POST", &format!("/orders/{number}/cancel")).await.problem(409);
    let completed = service.http.staff("POST", &format!("/orders/{number}/complete")).await;
    assert_eq!((completed.status, &completed.json()["status"]), (200, &json!("completed")), "{completed:?}");
    assert_eq!(statuses().await, ["completed", "ready"]);
}

#[tokio::test]
async fn of_many_who_cancel_at_once_one_succeeds() {
    let service = OrderService::start().await;
    let number = service.http.place(&takeout()).await;
    let attempts = (0..20).map(|_| {
        let (http, path) = (service.http.clone(), format!("/orders/{number}/cancel"));
        tokio::spawn(async move { http.staff("POST", &path).await.status })
    });
    let mut outcomes = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        outcomes.push(attempt.await.unwrap());
    }
    outcomes.sort_unstable();
    assert_eq!((outcomes[0], &outcomes[1..]), (200, &[409; 19][..]));
}

#[tokio::test]
async fn without_a_configured_token_staff_calls_are_off_and_say_how_to_turn_them_on() {
    let env = TestEnv::new().await;
    env.edit_config(|text| text.split("staff:").next().unwrap().to_owned());
    let (_role, http) = spawn(&env, &[]).await;
    let number = http.place(&delivery()).await;
    for change in ["cancel", "dispatch", "complete", "recall"] {
        let path = format!("/orders/{number}/{change}");
        for answer in [http.staff("POST", &path).await, answer(http.request("POST", &path)).await] {
            let problem = answer.problem(403);
            assert!(problem["detail"].as_str().unwrap().contains("staff.token_file"), "{problem}");
        }
    }
    let shown = http.staff("GET", &format!("/orders/{number}")).await;
    assert!(shown.status == 200 && !shown.text.contains("Ada"), "{shown:?}");
    assert_eq!(shown.json()["status"], "received");
}

#[tokio::test]
async fn five_wrong_tokens_in_a_minute_are_answered_and_then_none_from_that_address() {
    let service = OrderService::start().await;
    let number = service.http.place(&delivery()).await;
    let (path, cancel) = (format!("/orders/{number}"), format!("/orders/{number}/cancel"));
    let guess = async |n: usize| {
        let (method, path) = if n.is_multiple_of(2) { ("GET", &path) } else { ("POST", &cancel) };
        answer(service.http.request(method, path).bearer_auth(format!("{STAFF_TOKEN}{n}"))).await
    };
    for n in 0..5 {
        guess(n).await.problem(401);
    }
    // Whatever is shown now: an answer to the right one would tell it.
    for limited in [
        guess(5).await,
        guess(6).await,
        service.http.staff("GET", &path).await,
        service.http.staff("POST", &cancel).await,
    ] {
        assert_eq!(limited.problem(429)["type"], "urn:restaurant-system:problem:too-many-requests");
        let wait: u64 = limited.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{limited:?}");
    }
    let public = service.http.get(&path).await;
    assert!(public.status == 200 && !public.text.contains("Ada"), "{public:?}");
    answer(service.http.request("POST", &cancel)).await.problem(401);
    let metrics = service.http.get("/metrics").await.text;
    for (result, count) in [("failed", 5), ("limited", 4), ("ok", 0)] {
        let line = format!("staff_logins_total{{result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} {metrics}");
    }
    eventually("five lines", async || service.role.logs_of("staff_login_failed").len() == 5).await;
    for line in service.role.logs_of("staff_login_failed") {
        assert_eq!((&line["address"], &line["level"]), (&json!("127.0.0.1"), &json!("WARN")), "{line}");
        assert!(!line.to_string().contains(STAFF_TOKEN), "{line}");
    }
}

#[tokio::test]
async fn reading_who_ordered_leaves_a_line_and_reading_anything_else_does_not() {
    let service = OrderService::start().await;
    let number = service.http.place(&delivery()).await;
    let path = format!("/orders/{number}");
    service.http.get(&path).await;
    service.http.staff("GET", "/orders/ORD_20200101_001").await.problem(404);
    assert!(service.role.logs_of("staff_read").is_empty());
    let read = service.http.staff("GET", &path).await;
    let line = service.role.wait_for_action("staff_read").await;
    assert_eq!((&line["order_number"], &line["actor"]), (&json!(number), &json!("api")), "{line}");
    assert_eq!(line["request_id"], read.header("x-request-id"), "{line}");
    for private in ["Ada", "Lovelace", "Analytical", STAFF_TOKEN] {
        assert!(!line.to_string().contains(private), "{line}");
    }
}
