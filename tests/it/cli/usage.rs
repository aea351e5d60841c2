//! Help, wrong usage, and exit codes.

use super::{code, text};
use crate::support::TestEnv;
use std::process::{Command, Output, Stdio};

const COMMANDS: [&str; 18] = [
    "order-service",
    "kitchen-worker",
    "tracking-service",
    "notification-subscriber",
    "web-gateway",
    "migrate",
    "check-config",
    "doctor",
    "openapi",
    "completions",
    "man",
    "dead-letters",
    "queues",
    "dev",
    "place",
    "track",
    "board",
    "simulate",
];

fn run(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_restaurant-system");
    // A folder without a config.yaml.
    Command::new(program).args(args).current_dir("/").stdin(Stdio::null()).output().unwrap()
}

#[test]
fn the_help_of_every_command_is_complete_and_has_an_example() {
    for command in COMMANDS {
        let help = run(&[command, "--help"]);
        let help_text = String::from_utf8(help.stdout.clone()).unwrap();
        assert_eq!(code(&help), Some(0), "{command}");
        assert!(help.stderr.is_empty(), "{command}");
        let example = help_text.split_once("Example").unwrap_or_else(|| panic!("{command} has no example")).1;
        assert!(example.contains(&format!("restaurant-system {command}")), "{command}: {example}");
        let short = run(&[command, "-h"]);
        assert!(text(&short).contains("restaurant-system"), "{command} -h");
    }
    let help = text(&run(&["--help"]));
    for command in COMMANDS {
        assert!(help.contains(command), "{command} is not in the list of commands");
    }
    assert!(help.contains("Example") && help.contains("78"), "{help}");
}

#[test]
fn every_role_has_its_flags_with_their_defaults() {
    let common = ["--config", "--log-format", "--log-level"];
    for (command, flags) in [
        (
            "order-service",
            vec!["--port", "[default: 3000]", "--max-concurrent", "[default: 50]", "--host", "127.0.0.1"],
        ),
        (
            "kitchen-worker",
            vec![
                "--worker-name",
                "--order-types",
                "--heartbeat-interval",
                "[default: 30]",
                "--prefetch",
                "[default: 1]",
                "--cook-seconds",
            ],
        ),
        ("tracking-service", vec!["--port", "[default: 3002]", "--host", "127.0.0.1"]),
        ("notification-subscriber", vec!["--name"]),
        ("web-gateway", vec!["--port", "[default: 8080]", "--order-url", "--tracking-url", "--host"]),
        ("migrate", vec![]),
    ] {
        let help = text(&run(&[command, "--help"]));
        for flag in flags.iter().chain(&common) {
            assert!(help.contains(flag), "{command}: {flag}: {help}");
        }
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    for (args, said) in [
        (vec![], "Usage"),
        (vec!["--nonsense"], "--nonsense"),
        (vec!["cook"], "cook"),
        (vec!["kitchen-worker"], "--worker-name"),
        (vec!["--mode=kitchen-worker"], "--worker-name"),
        (vec!["kitchen-worker", "--worker-name", ""], "--worker-name"),
        (vec!["kitchen-worker", "--worker-name", "a", "--order-types", "drive_in"], "drive_in"),
        (vec!["kitchen-worker", "--worker-name", "a", "--order-types", "takeout,drive_in"], "drive_in"),
        (vec!["kitchen-worker", "--worker-name", "a", "--order-types", ""], "--order-types"),
        (vec!["kitchen-worker", "--worker-name", "a", "--prefetch", "0"], "--prefetch"),
        (vec!["kitchen-worker", "--worker-name", "a", "--prefetch", "x"], "--prefetch"),
        (vec!["kitchen-worker", "--worker-name", "a", "--heartbeat-interval", "0"], "--heartbeat-interval"),
        (vec!["kitchen-worker", "--worker-name", "a", "--heartbeat-interval", "NaN"], "--heartbeat-interval"),
        (vec!["kitchen-worker", "--worker-name", "a", "--cook-seconds", "-1"], "--cook-seconds"),
        (vec!["kitchen-worker", "--worker-name", "a", "--cook-seconds", "soon"], "--cook-seconds"),
        (vec!["order-service", "--port", "65536"], "--port"),
        (vec!["order-service", "--port", "-1"], "-1"),
        (vec!["order-service", "--max-concurrent", "0"], "--max-concurrent"),
        (vec!["order-service", "--log-level", "loud"], "--log-level"),
        (vec!["order-service", "--log-format", "xml"], "--log-format"),
        (vec!["tracking-service", "--worker-name", "a"], "--worker-name"),
        (vec!["notification-subscriber", "--name", ""], "--name"),
        (vec!["openapi"], "SERVICE"),
        (vec!["openapi", "kitchen"], "kitchen"),
        (vec!["dead-letters"], "list"),
        (vec!["dead-letters", "show"], "ID"),
        (vec!["dead-letters", "requeue"], "--all"),
        (vec!["dead-letters", "discard", "a", "--all"], "--all"),
        (vec!["dead-letters", "discard", "--all"], "--yes"),
        (vec!["dead-letters", "list", "--limit", "0"], "--limit"),
        (vec!["--mode=cook"], "cook"),
        (vec!["--mode"], "--mode"),
        (vec!["--mode="], "--mode"),
    ] {
        let output = run(&args);
        assert_eq!(code(&output), Some(2), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(said), "{args:?}: {}", text(&output));
        assert!(output.stdout.is_empty(), "{args:?}: it belongs on standard error");
    }
}

#[test]
fn the_version_is_told() {
    let output = run(&["--version"]);
    assert_eq!(
        (code(&output), text(&output)),
        (Some(0), format!("restaurant-system {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test]
async fn a_failure_at_run_time_ends_with_1() {
    let env = TestEnv::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for role in ["order-service", "tracking-service", "web-gateway"] {
        let output = env.run(&[role, "--port", &port, "--log-format", "json"]).await;
        assert_eq!(code(&output), Some(1), "{role}");
        let text = text(&output);
        assert!(text.contains("in use") && text.contains(&port), "{text}");
    }
    let output = env.run(&["order-service", "--port", "0", "--host", "no.such.host.invalid"]).await;
    assert_eq!(code(&output), Some(1));
    assert!(text(&output).contains("no.such.host.invalid"));
}

#[tokio::test]
async fn migrate_without_a_database_ends_with_1_after_its_time() {
    let env = TestEnv::new().await;
    std::fs::write(env.config(), "database: {host: 127.0.0.1, port: 1, password: swordfish}\n").unwrap();
    let output = env.run(&["migrate", "--timeout", "0.5", "--log-format", "json"]).await;
    assert_eq!(code(&output), Some(1));
    assert!(text(&output).contains("0.5 s") && !text(&output).contains("swordfish"), "{}", text(&output));
}
