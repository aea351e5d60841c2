//! What stays on this machine, and what goes over a network.

use super::{Case, error_of};
use secrecy::ExposeSecret;

fn hosts(case: &Case) -> Vec<String> {
    case.load().unwrap().database.hosts.iter().map(ToString::to_string).collect()
}

/// The warnings, without where they stand.
fn warnings(content: &str) -> Vec<String> {
    let warnings = Case::new(content).load().unwrap().warnings;
    warnings.iter().map(|warning| warning.to_string().split_once(".yaml:").unwrap().1.to_owned()).collect()
}

#[test]
fn a_socket_may_stand_where_a_host_does_in_the_file_and_the_environment() {
    assert_eq!(hosts(&Case::new("database: {host: /run/postgresql}")), ["/run/postgresql:5432"]);
    assert_eq!(
        hosts(&Case::new("database: {host: [/run/postgresql, '/run/other:5434', db2], port: 5433}")),
        ["/run/postgresql:5433", "/run/other:5434", "db2:5433"]
    );
    let of_environment = Case::new("")
        .env("RESTAURANT_DATABASE_HOST", "/run/postgresql")
        .env("RESTAURANT_DATABASE_PORT", "5435");
    assert_eq!(hosts(&of_environment), ["/run/postgresql:5435"]);
    assert_eq!(
        error_of("rabbitmq: {host: /run/rabbitmq}"),
        "config.yaml:1: rabbitmq.host: must be a host name or address, not a path"
    );
}

#[test]
fn on_sockets_alone_no_password_is_made_up() {
    for (content, password) in [
        ("database: {host: /run/postgresql}", ""),
        ("database: {host: /run/postgresql, password: secret}", "secret"),
        ("database: {host: [/run/postgresql, db]}", "restaurant_pass"),
    ] {
        let database = Case::new(content).load().unwrap().database;
        assert_eq!(database.password.expose_secret(), password, "{content}");
    }
}

#[test]
fn tls_for_sockets_alone_is_doubtful() {
    let text =
        "1: database.tls: is of no use: what goes over a Unix socket stays on this machine, without TLS";
    assert_eq!(warnings("database: {host: /run/postgresql, tls: true}"), [text]);
    assert_eq!(warnings("database: {host: [/run/postgresql, db], tls: true}"), [""; 0]);
}

#[test]
fn a_password_of_rabbitmq_that_crosses_a_network_in_clear_is_doubtful() {
    for (host, is_doubtful) in [
        ("broker", true),
        ("[127.0.0.1, 192.168.1.7]", true),
        ("localhost", false),
        ("[127.0.0.1, '::1']", false),
        ("broker, tls: true", false),
    ] {
        let warnings = warnings(&format!("rabbitmq: {{host: {host}}}"));
        assert_eq!(!warnings.is_empty(), is_doubtful, "{host}: {warnings:?}");
        assert!(
            warnings.iter().all(|warning| warning.contains("rabbitmq.host: its password goes")),
            "{warnings:?}"
        );
    }
}
