//! The configuration's sources and their order, what is refused, and that passwords stay inside.

use super::{code, start, text};
use crate::support::{Signal, TestEnv, eventually, superuser};
use std::net::TcpListener;

const SECRET: &str = "sw0rdf1sh-hunter2";

#[tokio::test]
async fn an_unusable_configuration_ends_with_78_and_names_key_file_and_line() {
    let env = TestEnv::new().await;
    std::fs::write(env.dir().join("pw"), SECRET).unwrap();
    std::fs::write(env.dir().join("short"), SECRET).unwrap();
    for (content, line, said) in [
        ("database:\n  hots: x\n", 2, "database.hots"),
        ("databse:\n  host: x\n", 1, "databse"),
        ("database:\n  host: x\n  port: abc\n", 3, "database.port"),
        ("database:\n  port: 0\n", 2, "database.port"),
        ("database:\n  port: 70000\n", 2, "database.port"),
        ("database:\n  port: 5432.5\n", 2, "database.port"),
        ("database:\n  user: [a, b]\n", 2, "database.user"),
        ("database: x\n", 1, "database"),
        ("- database\n", 1, "mapping"),
        ("rabbitmq:\n  host: []\n", 2, "rabbitmq.host"),
        ("rabbitmq:\n  host: amqp://guest:sw0rdf1sh-hunter2@x/\n", 2, "rabbitmq.host"),
        ("rabbitmq:\n  queue_type: stream\n", 2, "rabbitmq.queue_type"),
        ("rabbitmq:\n  tls: perhaps\n", 2, "rabbitmq.tls"),
        ("database:\n  password_file: missing\n", 2, "database.password_file"),
        ("database:\n  password: sw0rdf1sh-hunter2\n  password_file: pw\n", 3, "database.password_file"),
        ("database:\n  password_file: .\n", 2, "database.password_file"),
        ("staff:\n  token_file: missing\n", 2, "staff.token_file"),
        ("staff:\n  token_file: short\n", 2, "head -c 32 /dev/urandom | base64"),
        ("tracking:\n  public_lists: perhaps\n", 2, "tracking.public_lists"),
        ("kitchen:\n  cook_seconds: {dine_in: -1}\n", 2, "kitchen.cook_seconds.dine_in"),
        ("kitchen:\n  cook_seconds:\n    takeout: 1\n    soup: 3\n", 4, "kitchen.cook_seconds.soup"),
        ("database:\n  password: sw0rdf1sh-hunter2\n  password: sw0rdf1sh-hunter2\n", 3, "database.password"),
        ("database:\n\tpassword: sw0rdf1sh-hunter2\n", 2, "tab"),
        ("database:\n  password: \"sw0rdf1sh-hunter2\n", 0, "YAML"),
    ] {
        std::fs::write(env.dir().join("bad.yaml"), content).unwrap();
        let args = ["order-service", "--port", "0", "--config", "bad.yaml"];
        let output = env.run(&args).await;
        let said_text = text(&output);
        assert_eq!(code(&output), Some(78), "{content}: {said_text}");
        assert!(said_text.contains(said) && said_text.contains("bad.yaml"), "{content}: {said_text}");
        assert!(line == 0 || said_text.contains(&format!("bad.yaml:{line}")), "{content}: {said_text}");
        assert!(!said_text.contains(SECRET), "{content}: {said_text}");
    }
}

#[tokio::test]
async fn every_role_refuses_it_and_every_problem_is_told_at_once() {
    let env = TestEnv::new().await;
    std::fs::write(env.config(), "database:\n  hots: x\n  port: abc\nrabbitmq:\n  prot: 1\n").unwrap();
    for args in [
        vec!["order-service"],
        vec!["tracking-service"],
        vec!["kitchen-worker", "--worker-name", "a"],
        vec!["notification-subscriber"],
        vec!["migrate"],
        vec!["--mode=order-service"],
    ] {
        let output = env.run(&args).await;
        assert_eq!(code(&output), Some(78), "{args:?}");
        for problem in [
            "config.yaml:2: database.hots",
            "did you mean \"host\"",
            "config.yaml:3: database.port",
            "config.yaml:5: rabbitmq.prot",
        ] {
            assert!(text(&output).contains(problem), "{args:?}: {}", text(&output));
        }
    }
}

#[tokio::test]
async fn a_file_that_is_asked_for_must_be_there_and_readable() {
    let env = TestEnv::new().await;
    for file in ["missing.yaml", ".", "/etc/shadow/x"] {
        let output = env.run(&["tracking-service", "--config", file]).await;
        assert_eq!(code(&output), Some(78), "{file}");
        assert!(text(&output).contains(file), "{}", text(&output));
    }
    std::fs::write(env.dir().join("binary.yaml"), b"database: \xff\xfe").unwrap();
    assert_eq!(code(&env.run(&["tracking-service", "--config", "binary.yaml"]).await), Some(78));
}

#[tokio::test]
async fn a_misspelt_variable_is_refused_by_name() {
    let env = TestEnv::new().await;
    let mut role = start(&env, &["tracking-service"], &[("RESTAURANT_DATABASE_HOTS", "x")]);
    assert_eq!(role.wait_exit().await.code(), Some(78));
    eventually("it is told", || async { role.output().join("\n").contains("RESTAURANT_DATABASE_HOTS") })
        .await;
}

#[tokio::test]
async fn the_environment_beats_the_file_and_a_flag_beats_the_environment() {
    let env = TestEnv::new().await;
    let right = env.servers.postgres.port().to_string();
    env.edit_config(|text| text.replace(&right, "1"));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = free.local_addr().unwrap().port().to_string();
    // The file's database port is dead and the variable's service port is taken: only the right order starts.
    let variables = [
        ("RESTAURANT_DATABASE_PORT", right.as_str()),
        ("RESTAURANT_PORT", occupied.as_str()),
        ("RESTAURANT_LOG_LEVEL", "debug"),
        ("RESTAURANT_LOG_FORMAT", "pretty"),
    ];
    let role = start(&env, &["tracking-service", "--port", "0", "--log-format", "json"], &variables);
    role.url().await;
    role.wait_for_action("db_connected").await;
    let url = role.url().await;
    reqwest::get(format!("{url}/healthz")).await.unwrap();
    role.wait_for_log("of level DEBUG", |log| log["level"] == "DEBUG").await;

    let mut from_variable = start(&env, &["tracking-service"], &variables);
    assert_eq!(from_variable.wait_exit().await.code(), Some(1), "the variable's port is taken");
}

#[tokio::test]
async fn the_file_may_be_named_by_a_variable() {
    let env = TestEnv::new().await;
    let elsewhere = env.dir().join("elsewhere.yaml");
    std::fs::rename(env.config(), &elsewhere).unwrap();
    let variables = [("RESTAURANT_CONFIG", elsewhere.to_str().unwrap())];
    let role = start(&env, &["tracking-service", "--port", "0"], &variables);
    role.wait_for_action("db_connected").await;
}

#[tokio::test]
async fn of_several_hosts_the_first_that_lives_is_used() {
    let env = TestEnv::new().await;
    // One port that refuses, and one that takes the connection and never says a word, as a frozen server does.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = mute.local_addr().unwrap().port();
    let (postgres, rabbitmq) = (env.servers.postgres.port(), env.servers.rabbitmq.amqp_port());
    let text = format!(
        "database:\n  host: [\"127.0.0.1:1\", \"127.0.0.1:{mute}\", \"127.0.0.1:{postgres}\"]\n  database: {}\n  connect_timeout_seconds: 1\n\
         rabbitmq:\n  host: [\"127.0.0.1:1\", \"127.0.0.1:{mute}\", \"127.0.0.1:{rabbitmq}\"]\n  vhost: {}\n  connect_timeout_seconds: 1\n",
        env.database, env.vhost
    );
    std::fs::write(env.config(), text).unwrap();
    let role = env.spawn(&["tracking-service", "--port", "0"]);
    role.wait_for_action("db_connected").await;
    role.wait_for_action("rabbitmq_connected").await;
}

#[tokio::test]
async fn a_password_of_special_characters_from_a_file_is_taken_and_shown_nowhere() {
    let env = TestEnv::new().await;
    let db = superuser(&env.servers.postgres, &env.database).await;
    let password = "p@ss/w:rd%20#?'\"\\ ü{}&*!";
    let user = format!("special_{}", env.database);
    let quoted = password.replace('\'', "''");
    let grant = format!(
        "create role {user} login password '{quoted}'; grant all on all tables in schema public to {user}; \
         grant all on all sequences in schema public to {user}"
    );
    db.batch_execute(&grant).await.unwrap_or_else(|error| panic!("{error:?}"));
    std::fs::write(env.dir().join("pw"), format!("{password}\n")).unwrap();
    env.edit_config(|text| {
        let text = text.replace("user: restaurant_user", &format!("user: {user}"));
        text.replace("password: restaurant_pass", "password_file: pw")
    });
    let mut role = env.spawn(&["tracking-service", "--port", "0", "--log-level", "trace"]);
    role.wait_for_action("db_connected").await;
    role.signal(Signal::SIGTERM);
    assert_eq!(role.wait_exit().await.code(), Some(0));
    assert!(!role.output().join("\n").contains("p@ss/w"));
    db.batch_execute(&format!("drop owned by {user}; drop role {user}")).await.unwrap();
}

#[tokio::test]
async fn a_password_is_neither_logged_nor_in_the_process_list_nor_in_the_help() {
    let env = TestEnv::new().await;
    // Wrong ones, so that both servers complain.
    let secret = format!("password: {SECRET}");
    env.edit_config(|text| {
        text.replace("password: restaurant_pass", &secret).replace("password: guest", &secret)
    });
    let role = env.spawn(&["order-service", "--port", "0", "--log-level", "trace"]);
    role.wait_for_action("db_connection_failed").await;
    role.wait_for_action("rabbitmq_connection_failed").await;
    let command_line = std::fs::read(format!("/proc/{}/cmdline", role.pid())).unwrap();
    let help = env.run(&["order-service", "--help"]).await;
    for shown in [role.output().join("\n"), String::from_utf8_lossy(&command_line).into_owned(), text(&help)]
    {
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
