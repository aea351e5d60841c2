//! The gateway as a role: it needs two addresses and nothing else.

use crate::support::{Counter, Signal, TestEnv};

#[tokio::test]
async fn it_is_ready_while_both_services_answer_and_says_which_does_not() {
    let env = TestEnv::new().await;
    let mut counter = Counter::start(&env).await;
    let ready = counter.http.get("/readyz").await.ok();
    assert_eq!(ready["checks"]["order-service"]["status"], "up", "{ready}");
    counter.tracking.kill();
    let ready = counter.http.wait_check(503, "tracking-service", "down").await;
    assert_eq!(ready["checks"]["order-service"]["status"], "up", "{ready}");
    counter.gateway.wait_for_action("service_lost").await;
    counter.gateway.signal(Signal::SIGTERM);
    assert_eq!(counter.gateway.wait_exit().await.code(), Some(0));
}
