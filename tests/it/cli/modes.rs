//! The original's command lines, with its configuration file: they run unchanged.

use super::start;
use crate::support::{Role, Signal, TestEnv};

/// The four roles as the original's README has them, on ports that are free.
fn originals(env: &TestEnv, spelling: &str) -> Vec<Role> {
    let mode = |role: &str| match spelling {
        "=" => vec![format!("--mode={role}")],
        _ => vec!["--mode".to_owned(), role.to_owned()],
    };
    [
        ("order-service", vec!["--port=0"]),
        ("kitchen-worker", vec!["--worker-name=chef_anna", "--prefetch=1"]),
        ("tracking-service", vec!["--port=0"]),
        ("notification-subscriber", vec![]),
    ]
    .into_iter()
    .map(|(role, more)| {
        let mode = mode(role);
        let args: Vec<&str> = mode.iter().map(String::as_str).chain(more).collect();
        start(env, &args, &[])
    })
    .collect()
}

#[tokio::test]
async fn each_role_starts_by_its_mode_with_the_originals_file_in_the_current_folder() {
    for spelling in ["=", " "] {
        let env = TestEnv::new().await;
        // The file as the original has it: these keys and no more. The rest is where the tests' servers are.
        let text = format!(
            "# Database Configuration\ndatabase:\n  host: localhost\n  port: {}\n  user: restaurant_user\n  password: restaurant_pass\n  \
             database: {}\n\n# RabbitMQ Configuration\nrabbitmq:\n  host: localhost\n  port: {}\n  user: guest\n  password: guest\n",
            env.servers.postgres.port(),
            env.database,
            env.servers.rabbitmq.amqp_port()
        );
        std::fs::write(env.config(), text).unwrap();
        // The broker's default virtual host is shared with every other test that uses it: only the start is looked at.
        let mut roles = originals(&env, spelling);
        for (role, action) in
            roles.iter().zip(["db_connected", "rabbitmq_connected", "db_connected", "rabbitmq_connected"])
        {
            role.wait_for_action(action).await;
        }
        for (role, service) in roles.iter().zip([
            "order-service",
            "kitchen-worker",
            "tracking-service",
            "notification-subscriber",
        ]) {
            assert!(role.logs().iter().all(|log| log["service"] == service), "{:?}", role.lines());
        }
        for role in &mut roles {
            role.signal(Signal::SIGTERM);
        }
        for role in &mut roles {
            assert_eq!(role.wait_exit().await.code(), Some(0));
        }
    }
}

#[tokio::test]
async fn the_flags_of_a_mode_are_those_of_its_command() {
    let env = TestEnv::new().await;
    for args in [
        vec!["--port", "0", "--mode", "tracking-service", "--log-level", "debug"],
        vec!["--log-level=debug", "--mode=tracking-service", "--port=0"],
    ] {
        let mut role = start(&env, &args, &[]);
        role.url().await;
        role.wait_for_action("db_connected").await;
        role.signal(Signal::SIGINT);
        assert_eq!(role.wait_exit().await.code(), Some(0), "{args:?}");
    }
}
