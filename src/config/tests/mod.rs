//! Loading as a whole: files in a temporary folder, the environment passed in.

mod sockets;

use std::time::Duration;

use amqp::QueueType;
use daemon::telemetry::LogLevel;
use daemon::tls::TlsOptions;
use secrecy::ExposeSecret;
use settings::HostPort;
use settings::testing::{self, FromSources};

use super::*;
use crate::domain::{CookTimes, StaffRole};
use crate::http::auth::TokenDigest;

const ORIGINAL: &str = "\
database:
  host: localhost
  port: 5432
  user: restaurant_user
  password: restaurant_pass
  database: restaurant_db
rabbitmq:
  host: localhost
  port: 5672
  user: guest
  password: guest
";

/// An authority of P-256 that signed itself, which nobody has the key of.
const CERTIFICATE: &str = include_str!("authority.pem");

type Case = testing::Case<Config>;

impl FromSources for Config {
    fn from_sources(sources: &ConfigSources) -> Result<Self, ConfigError> {
        Config::load(sources)
    }
}

fn error_of(content: &str) -> String {
    Case::new(content).error()
}

fn assert_is_default(config: &Config) {
    let database = &config.database;
    assert_eq!(database.hosts, [HostPort { host: "localhost".into(), port: 5432 }]);
    assert_eq!((&*database.user, &*database.database), ("restaurant_user", "restaurant_db"));
    assert_eq!(database.password.expose_secret(), "restaurant_pass");
    assert!(database.tls.is_none());
    let rabbitmq = &config.rabbitmq;
    assert_eq!(rabbitmq.hosts, [("localhost".to_owned(), 5672)]);
    assert_eq!((&*rabbitmq.user, rabbitmq.password.expose_secret()), ("guest", "guest"));
    assert_eq!((&*rabbitmq.vhost, rabbitmq.queue_type), ("/", QueueType::Classic));
    let seconds = Duration::from_secs;
    let times = CookTimes { dine_in: seconds(8), takeout: seconds(10), delivery: seconds(12) };
    assert_eq!(config.kitchen.cook, times);
    assert!(config.staff.is_off());
}

#[test]
fn the_originals_file_and_an_empty_one_and_none_at_all_are_the_defaults() {
    for content in [ORIGINAL, "", "# nothing\n", "---\n", "database:\nrabbitmq:\nkitchen: ~\n", "{}"] {
        assert_is_default(&Case::new(content).load().unwrap());
    }
    assert_is_default(&Config::load(&ConfigSources::default()).unwrap());
    assert_is_default(&Case::new(format!("\u{feff}{ORIGINAL}").replace('\n', "\r\n")).load().unwrap());
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let case = Case::new("kitchen: {cook_seconds: {dine_in: 1, takeout: 2, delivery: 3.25}}")
        .env("RESTAURANT_KITCHEN_COOK_SECONDS_DINE_IN", "4")
        .env("RESTAURANT_KITCHEN_COOK_SECONDS_TAKEOUT", "0");
    let sources = case.sources.with_flag("kitchen.cook_seconds.dine_in", "--cook-seconds", "0.5");
    let times = Config::load(&sources).unwrap().kitchen.cook;
    let millis = Duration::from_millis;
    assert_eq!((times.dine_in, times.takeout, times.delivery), (millis(500), millis(0), millis(3250)));

    let sources = sources.with_flag("kitchen.cook_seconds.takeout", "--cook-seconds", "-1");
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--cook-seconds: kitchen.cook_seconds.takeout: must be a number of seconds from 0 to 86400"
    );
}

#[test]
fn every_key_can_be_given_by_the_environment() {
    let case = Case::new("")
        .file("ca.pem", CERTIFICATE)
        .env("RESTAURANT_DATABASE_HOST", "db1, db2:6000")
        .env("RESTAURANT_DATABASE_PORT", "5433")
        .env("RESTAURANT_DATABASE_TLS", "true")
        .env("RESTAURANT_RABBITMQ_VHOST", "kitchen")
        .env("RESTAURANT_RABBITMQ_QUEUE_TYPE", "quorum")
        .env("RESTAURANT_RABBITMQ_TLS_ENABLED", "yes")
        // Flags have their own variables, which are none of our business.
        .env("RESTAURANT_PORT", "x")
        .env("RESTAURANT_ORDER_TYPES", "x")
        .env("RESTAURANT_LOG_LEVEL", "debug");
    let config = case.load().unwrap();
    let hosts: Vec<_> = config.database.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["db1:5433", "db2:6000"]);
    assert_eq!(config.database.tls, Some(TlsOptions::default()));
    assert_eq!((&*config.rabbitmq.vhost, config.rabbitmq.queue_type), ("kitchen", QueueType::Quorum));
    assert_eq!(config.rabbitmq.hosts[0].1, 5671, "the TLS port is the default with TLS");
    assert_eq!(config.log.level, LogLevel::Debug);
}

#[test]
fn an_unknown_variable_of_a_section_is_named() {
    let case = Case::new("").env("RESTAURANT_DATABASE_HOTS", "hunter2");
    assert_eq!(
        case.error(),
        "environment variable RESTAURANT_DATABASE_HOTS: no setting has this name \
         (did you mean \"RESTAURANT_DATABASE_HOST\"?)"
    );
}

#[test]
fn hosts_may_be_lists() {
    let config = Case::new("database:\n  port: 5433\n  host:\n    - a\n    - b:7\nrabbitmq: {host: [::1]}")
        .load()
        .unwrap();
    let hosts: Vec<_> = config.database.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a:5433", "b:7"]);
    assert_eq!(config.rabbitmq.hosts, [("::1".to_owned(), 5672)]);
    assert_eq!(
        error_of("database:\n  host:\n    - a\n    - ''\n"),
        "config.yaml:4: database.host: must not be empty"
    );
    assert_eq!(
        error_of("database:\n  host: []"),
        "config.yaml:2: database.host: must name at least one host"
    );
    assert_eq!(error_of("database: {user: [a]}"), "config.yaml:1: database.user: must be a single value");
}

#[test]
fn unknown_keys_are_named_with_their_path_file_line_and_a_suggestion() {
    for (content, expected) in [
        ("database:\n  hots: x", "config.yaml:2: database.hots: unknown key (did you mean \"host\"?)"),
        ("\ndatabse:\n  host: x", "config.yaml:2: databse: unknown key (did you mean \"database\"?)"),
        (
            "kitchen:\n  cook_seconds:\n    dinein: 3",
            "config.yaml:3: kitchen.cook_seconds.dinein: unknown key (did you mean \"dine_in\"?)",
        ),
        ("colour: red", "config.yaml:1: colour: unknown key"),
        ("rabbitmq:\n  tls: {ca: x}", "config.yaml:2: rabbitmq.tls.ca: unknown key"),
    ] {
        assert_eq!(error_of(content), expected);
    }
    let case = Case::new("database:\n  hots: x");
    let error = case.load().unwrap_err();
    assert_eq!((error.key(), error.line()), (Some("database.hots"), Some(2)));
    assert_eq!(error.file(), case.sources.file.as_deref());
}

#[test]
fn all_problems_are_listed_in_the_order_of_the_file() {
    let case = Case::new("database:\n  port: 0\n  hots: x\nrabbitmq:\n  queue_type: fast\n")
        .env("RESTAURANT_KITCHEN_STOP_SECONDS", "soon");
    assert_eq!(
        case.error(),
        "config.yaml:2: database.port: must be a whole number from 1 to 65535\n\
         config.yaml:3: database.hots: unknown key (did you mean \"host\"?)\n\
         config.yaml:5: rabbitmq.queue_type: must be classic or quorum\n\
         environment variable RESTAURANT_KITCHEN_STOP_SECONDS: kitchen.stop_seconds: \
         must be a number of seconds from 0 to 86400"
    );
}

#[test]
fn wrong_values_are_refused() {
    for (content, expected) in [
        ("database: {port: 65536}", "database.port: must be a whole number from 1 to 65535"),
        ("database: {port: 54.5}", "database.port: must be a whole number"),
        ("database: {port: }", "database.port: has no value"),
        ("database: {user: ' '}", "database.user: must not be empty"),
        ("database: {user: \"a\\nb\"}", "database.user: must not contain control characters"),
        ("database: {user: {a: b}}", "database.user: must be a single value"),
        ("database: localhost", "database: must be a mapping with the keys host, port, user"),
        (
            "- a",
            "config.yaml:1: must be a mapping with the keys database, rabbitmq, kitchen, outbox, tracking",
        ),
        ("kitchen: {cook_seconds: 5}", "kitchen.cook_seconds: must be a mapping with the keys dine_in"),
        ("kitchen: {cook_seconds: {takeout: .nan}}", "must be a number of seconds from 0 to 86400"),
        ("kitchen: {cook_seconds: {takeout: 86401}}", "must be a number of seconds from 0 to 86400"),
        ("kitchen: {cook_seconds: {takeout: 1e400}}", "must be a number of seconds from 0 to 86400"),
        (
            "tracking: {max_event_streams: 0}",
            "tracking.max_event_streams: must be a whole number from 1 to 60000",
        ),
        ("rabbitmq: {tls: maybe}", "rabbitmq.tls: must be true or false"),
        (
            "rabbitmq: {heartbeat_seconds: 1}",
            "rabbitmq.heartbeat_seconds: must be a whole number from 2 to 3600",
        ),
        ("rabbitmq: {tls: {ca_file: no.pem}}", "rabbitmq.tls.ca_file: no.pem can't be read: No such file"),
    ] {
        let error = error_of(content);
        assert!(error.contains(expected) && !error.contains('\n'), "{content}\n{error}");
    }
}

#[test]
fn a_value_is_never_repeated() {
    for content in [
        "database: {port: hunter2}",
        "database: {host: 'hunter2:x'}",
        "database: {tls: hunter2}",
        "rabbitmq: {queue_type: hunter2}",
        "kitchen: {cook_seconds: {dine_in: hunter2}}",
        "log: {level: hunter2, format: hunter2}",
        "database: hunter2",
        "colour: hunter2",
        "hunter2",
        "- hunter2",
    ] {
        let error = error_of(content);
        assert!(!error.contains("hunter2"), "{content}: {error}");
    }
    let case =
        Case::new("").env("RESTAURANT_DATABASE_PORT", "hunter2").env("RESTAURANT_LOG_LEVEL", "hunter2");
    assert!(!case.error().contains("hunter2"));
}

#[test]
fn a_file_without_certificates_is_refused_at_load() {
    let broken = CERTIFICATE.replacen("MII", "MIX", 1);
    for (content, expected) in [
        ("", "ca.pem holds no certificate"),
        ("not PEM", "ca.pem holds no certificate"),
        (broken.as_str(), "ca.pem "),
    ] {
        let error = Case::new("\nrabbitmq: {tls: {ca_file: ca.pem}}").file("ca.pem", content).error();
        assert!(
            error.starts_with("config.yaml:2: rabbitmq.tls.ca_file: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn tls_is_a_switch_or_a_mapping() {
    let ca_file = |config: Config| config.database.tls.map(|tls| tls.ca_file.is_some());
    for (content, expected) in [
        ("database: {tls: false}", None),
        ("database: {tls: true}", Some(false)),
        ("database: {tls: {enabled: true}}", Some(false)),
        ("database: {tls: {ca_file: ca.pem}}", Some(true)),
        ("database: {tls: {enabled: no, ca_file: ca.pem}}", None),
    ] {
        let config = Case::new(content).file("ca.pem", CERTIFICATE).load().unwrap();
        assert_eq!(ca_file(config), expected, "{content}");
    }
}

#[test]
fn no_password_shows_in_debug_output() {
    let token = "hunter2".repeat(5);
    let case =
        Case::new("database: {password: hunter2}\nrabbitmq: {password: hunter2}\nstaff: {token_file: t}")
            .file("t", &token)
            .env("RESTAURANT_X", "hunter2");
    let config = case.load().unwrap();
    assert!(TokenDigest::of(&token).is(&config.staff.token_sha256.unwrap()));
    assert!(!format!("{config:?} {config:#?} {:?}", case.sources).contains("hunter2"));
    assert_eq!(config.file, Some(case.folder.path().join("config.yaml")));
}

#[test]
fn a_staff_token_that_can_be_guessed_or_not_be_sent_is_refused_with_the_command_for_a_good_one() {
    let case = |token: &str| Case::new("staff:\n  token_file: t").file("t", token);
    let blanks = format!("{}{}\n", "x".repeat(31), " ".repeat(9));
    for bad in ["x", "hunter2hunter2hunter2hunter2hun", &*blanks, &*"é".repeat(32), &*"\u{7}".repeat(32)] {
        let error = case(bad).error();
        assert!(error.starts_with("config.yaml:2: staff.token_file: t holds a token "), "{error}");
        assert!(error.ends_with("`head -c 32 /dev/urandom | base64` makes a good one"), "{error}");
        assert!(!error.contains(bad.trim_end()) || bad == "x", "{error}");
    }
    assert!(case(&"x".repeat(32)).load().is_ok());
}

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$4gnhSNOTjvwhgNRj4MzjQxYN5bjFHbBXqFnyvZTTBuk";

#[test]
fn accounts_are_a_list_of_names_with_roles_and_hashes() {
    let accounts = format!(
        "- name: anna\n  role: kitchen\n  password_hash: {HASH}\n- {{name: Max M., role: manager, password_hash: \"{HASH}\"}}\n"
    );
    let under = format!("accounts:\n{accounts}");
    for text in [&accounts, &under] {
        let staff = Case::new("staff: {accounts_file: a}").file("a", text).load().unwrap().staff;
        let found: Vec<_> = staff.accounts.iter().flatten().map(|a| (a.name.as_str(), a.role)).collect();
        assert_eq!(found, [("anna", StaffRole::Kitchen), ("Max M.", StaffRole::Manager)]);
        assert!(!format!("{staff:?}").contains("argon2id"));
    }
}

#[test]
fn every_fault_of_the_accounts_is_named_with_its_file_and_line() {
    let accounts = format!(
        "- name: anna\n  role: cook\n  password_hash: hunter2\n- name: anna\n  rolle: counter\n  password_hash: {HASH}\n\
         - api\n- name: api\n  role: counter\n  password_hash: {HASH}\n- name: max\n  role: [manager]\n  password_hash:\n"
    );
    let error = Case::new("staff: {accounts_file: a}").file("a", &accounts).error();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "a:2: role: must be one of kitchen, counter, manager",
            "a:3: password_hash: must be an argon2id hash as `restaurant-system staff hash` prints it",
            "a:4: role: is missing",
            "a:5: rolle: unknown key (did you mean \"role\"?)",
            "a:7: must have name, role, password_hash",
            "a:8: name: stands for the holder of the token; take another name",
            "a:12: role: must be a text",
            "a:13: password_hash: must be a text",
        ]
    );
    let twice = format!("- {{name: a, role: counter, password_hash: {HASH:?}}}\n").repeat(2);
    for (text, expected) in [
        (&*twice, "a:2: name: another account has this name"),
        ("", "a: staff.accounts_file: a is empty"),
        ("anna: kitchen\n", "a:1: must be a list, or accounts: with a list"),
        ("- name: *anna\n", "a:1: YAML aliases (*name) are not supported here; quote the value"),
    ] {
        assert_eq!(Case::new("staff: {accounts_file: a}").file("a", text).error(), expected);
    }
}
