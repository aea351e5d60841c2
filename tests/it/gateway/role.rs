//! The gateway as a role: it needs two addresses and nothing else.

use crate::support::{Counter, Http, Signal, TestEnv};

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

#[tokio::test]
async fn it_reads_no_password_and_does_without_the_files_that_have_one() {
    let env = TestEnv::new().await;
    let secrets = "password_file: /nowhere/password";
    let text =
        format!("database: {{{secrets}}}\nrabbitmq: {{{secrets}}}\nstaff: {{token_file: /nowhere/token}}\n");
    std::fs::write(env.config(), text).unwrap();
    let gateway = env.spawn(&["web-gateway", "--port", "0"]);
    assert_eq!(Http::of(&gateway).await.get("/healthz").await.status, 200);
}
