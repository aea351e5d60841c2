//! `Idempotency-Key`: the same request twice is one order.

use super::client::{OrderService, lock_orders, spawn};
use crate::support::{Answer, Http, TestEnv, answer, eventually_ok, takeout, with};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn orders_in(env: &TestEnv) -> i64 {
    env.connect().await.query_one("select count(*) from orders", &[]).await.unwrap().get(0)
}

/// Sends the same request so many times at once, in turns to each of the services.
async fn at_once(services: &[&Http], key: &str, count: usize) -> Vec<Answer> {
    let requests = (0..count).map(|n| {
        let (http, key) = (services[n % services.len()].clone(), key.to_owned());
        tokio::spawn(async move {
            eventually_ok("an answer other than that the first is in progress", || async {
                let answer = http.post_keyed(&key, &takeout()).await;
                if answer.status == 409 { Err(answer) } else { Ok(answer) }
            })
            .await
        })
    });
    let mut answers = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        answers.push(request.await.unwrap());
    }
    answers
}

fn assert_equal_answers(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(
            (&answer.text, answer.header("location")),
            (&answers[0].text, answers[0].header("location"))
        );
    }
}

#[tokio::test]
async fn the_same_key_and_body_answers_the_first_answer_again() {
    let service = OrderService::start().await;
    let first = service.http.post_keyed("key-1", &takeout()).await;
    let other = service.http.post_keyed("key-2", &takeout()).await;
    let again = service.http.post_keyed("key-1", &takeout()).await;
    assert_equal_answers(&[first, again]);
    assert!(other.text.contains("_002\""), "{other:?}");
    assert_eq!(orders_in(&service.env).await, 2);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let service = OrderService::start().await;
    let first = service.http.post_keyed("key-1", &takeout()).await;
    let other = with(&takeout(), "/customer_name", json!("Charles Babbage"));
    let problem = service.http.post_keyed("key-1", &other).await.problem(422);
    assert_eq!(problem["type"], "urn:restaurant-system:problem:idempotency-key-reused");
    service.http.post_keyed("key-1", &json!({})).await.problem(422);
    assert_equal_answers(&[first, service.http.post_keyed("key-1", &takeout()).await]);
    assert_eq!(orders_in(&service.env).await, 1);
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let service = OrderService::start().await;
    service.http.post_keyed("key-1", &json!({})).await.problem(422);
    assert_eq!(service.http.post_keyed("key-1", &takeout()).await.status, 201);
}

#[tokio::test]
async fn an_unusable_key_is_refused_rather_than_ignored() {
    let service = OrderService::start().await;
    let long = "k".repeat(256);
    for bad in [&b""[..], b"schl\xc3\xbcssel", b"\xff", b"a\tb", long.as_bytes()] {
        let value = reqwest::header::HeaderValue::from_bytes(bad).unwrap();
        answer(service.http.order_request(takeout().to_string()).header("idempotency-key", value))
            .await
            .problem(400);
    }
    let twice = service.http.order_request(takeout().to_string());
    answer(twice.header("idempotency-key", "a").header("idempotency-key", "b")).await.problem(400);
    assert_eq!(orders_in(&service.env).await, 0);
    for good in ["k", "8e03978e-40d5-43e8-bc93-6894a57f9324", "a b/c;d=\"e\"", &long[1..]] {
        assert_eq!(service.http.post_keyed(good, &takeout()).await.status, 201, "{good}");
    }
}

#[tokio::test]
async fn sixty_four_at_once_make_one_order_and_equal_answers() {
    let service = OrderService::start().await;
    let answers = at_once(&[&service.http], "rush", 64).await;
    assert_equal_answers(&answers);
    assert_eq!(orders_in(&service.env).await, 1);
    // The number behind it shows that none was used in vain.
    assert!(service.http.place(&takeout()).await.ends_with("_002"));
}

#[tokio::test]
async fn two_services_with_the_same_keys_at_once_make_one_order_a_key() {
    let env = TestEnv::new().await;
    let ((_one, one), (_two, two)) = tokio::join!(spawn(&env, &[]), spawn(&env, &[]));
    for round in 0..5 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let (there, back) = ([&one, &two], [&two, &one]);
        let (a, b) = tokio::join!(at_once(&there, &a, 16), at_once(&back, &b, 16));
        assert_equal_answers(&a);
        assert_equal_answers(&b);
    }
    assert_eq!(orders_in(&env).await, 10);
}

#[tokio::test]
async fn a_key_survives_the_service() {
    let mut service = OrderService::start().await;
    let first = service.http.post_keyed("key-1", &takeout()).await;
    service.role.kill();
    let (_role, http) = spawn(&service.env, &[]).await;
    let again = http.post_keyed("key-1", &takeout()).await;
    assert_equal_answers(&[first, again]);
    http.post_keyed("key-1", &with(&takeout(), "/customer_name", json!("Bob"))).await.problem(422);
    assert_eq!(orders_in(&service.env).await, 1);
}

#[tokio::test]
async fn while_the_first_is_in_progress_the_second_is_a_conflict() {
    let service = OrderService::start().await;
    let mut blocker = service.env.connect().await;
    let lock = lock_orders(&mut blocker).await;
    let http = service.http.clone();
    let first = tokio::spawn(async move { http.post_keyed("key-1", &takeout()).await });
    service.wait_for_a_waiting_lock().await;
    let asked = Instant::now();
    let second = service.http.post_keyed("key-1", &takeout()).await;
    assert_eq!(second.problem(409)["type"], "urn:restaurant-system:problem:conflict");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    service.http.post_keyed("key-1", &with(&takeout(), "/customer_name", json!("Bob"))).await.problem(422);
    lock.rollback().await.unwrap();
    let first = first.await.unwrap();
    assert_equal_answers(&[first, service.http.post_keyed("key-1", &takeout()).await]);
    assert_eq!(orders_in(&service.env).await, 1);
}

#[tokio::test]
async fn a_repetition_long_after_is_answered_like_the_first() {
    let service = OrderService::start().await;
    let first = service.http.post_keyed("key-1", &takeout()).await;
    let number: Value = first.json()["order_number"].clone();
    let path = format!("/orders/{}/cancel", number.as_str().unwrap());
    assert_eq!(service.http.staff("POST", &path).await.status, 200);
    assert_equal_answers(&[first, service.http.post_keyed("key-1", &takeout()).await]);
}
