//! More orders at once than are allowed, and a database that does not answer.

use super::client::{OrderService, lock_orders, spawn};
use crate::support::{TestEnv, eventually_ok, takeout};
use std::time::{Duration, Instant};

#[tokio::test]
async fn those_who_wait_for_a_full_service_get_503_with_retry_after() {
    let service = OrderService::start_with(&["--max-concurrent", "1"]).await;
    let mut blocker = service.env.connect().await;
    let lock = lock_orders(&mut blocker).await;
    let http = service.http.clone();
    let first = tokio::spawn(async move { http.post(&takeout()).await });
    service.wait_for_a_waiting_lock().await;
    let asked = Instant::now();
    let others = (0..10).map(|_| {
        let http = service.http.clone();
        tokio::spawn(async move { http.post(&takeout()).await })
    });
    for other in others.collect::<Vec<_>>() {
        let other = other.await.unwrap();
        other.problem(503);
        assert!(other.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{other:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let told = service.role.wait_for_action("requests_refused").await;
    assert!(told["details"].to_string().contains("intake is full"), "{told}");
    // What is refused by a rule needs no turn; what asks for nothing of the database is served.
    service.http.post_text("{}").await.problem(422);
    assert_eq!(service.http.get("/healthz").await.status, 200);
    lock.rollback().await.unwrap();
    assert_eq!(first.await.unwrap().status, 201);
    assert!(service.http.place(&takeout()).await.ends_with("_002"));
}

#[tokio::test]
async fn when_no_more_can_wait_an_order_is_refused_before_it_is_read() {
    let service = OrderService::start_with(&["--max-concurrent", "1"]).await;
    let mut blocker = service.env.connect().await;
    let lock = lock_orders(&mut blocker).await;
    let others = (0..300).map(|_| {
        let http = service.http.clone();
        tokio::spawn(async move { http.post(&takeout()).await.status })
    });
    let others: Vec<_> = others.collect();
    let refused = eventually_ok("what breaks a rule is not looked at", || async {
        let answer = service.http.post_text("{}").await;
        if answer.status == 503 { Ok(answer) } else { Err(answer.text) }
    })
    .await;
    refused.problem(503);
    assert!(refused.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{refused:?}");
    assert_eq!(service.http.get("/healthz").await.status, 200);
    lock.rollback().await.unwrap();
    for other in others {
        assert!(matches!(other.await.unwrap(), 201 | 503));
    }
    eventually_ok("it is looked at again", || async {
        let answer = service.http.post_text("{}").await;
        if answer.status == 422 { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_hangs_is_given_up_and_the_service_works_on() {
    let env = TestEnv::new().await;
    env.edit_config(|text| text.replace("database:\n", "database:\n  statement_timeout_seconds: 1\n"));
    let (_role, http) = spawn(&env, &[]).await;
    let mut blocker = env.connect().await;
    let lock = lock_orders(&mut blocker).await;
    let given_up = http.post_keyed("k", &takeout()).await;
    given_up.problem(503);
    assert!(!given_up.header("retry-after").is_empty());
    lock.rollback().await.unwrap();
    eventually_ok("the service takes orders again", || async {
        let answer = http.post_keyed("k", &takeout()).await;
        if answer.status == 201 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    assert!(http.place(&takeout()).await.ends_with("_002"));
}

#[tokio::test]
async fn why_orders_are_answered_with_503_is_in_the_log_once_and_not_for_each() {
    let env = TestEnv::new().await;
    env.edit_config(|text| text.replace("database:\n", "database:\n  statement_timeout_seconds: 1\n"));
    let (role, http) = spawn(&env, &[]).await;
    let mut blocker = env.connect().await;
    let lock = lock_orders(&mut blocker).await;
    let order = takeout();
    for answer in futures_util::future::join_all((0..20).map(|_| http.post(&order))).await {
        answer.problem(503);
    }
    let told = role
        .wait_for_log("that says what PostgreSQL said", |log| {
            log["action"] == "requests_refused" && log["details"].to_string().contains("statement timeout")
        })
        .await;
    assert_eq!(told["level"], "WARN");
    let lines = role.logs_of("requests_refused");
    assert!(lines.len() <= 4, "no line for each of 20 requests: {lines:?}");
    lock.rollback().await.unwrap();
}
