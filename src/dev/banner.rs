//! The text that `dev` prints once everything runs: the addresses and folders.

use std::fmt::Write;

use private_servers::{RabbitMqServer, Servers};

use super::servers::DATABASE;
use super::state::StateFiles;

/// The order that the example command places.
const EXAMPLE_ORDER: &str = r#"{"customer_name":"Ada Lovelace","order_type":"takeout","items":[{"name":"Margherita Pizza","quantity":1,"price":15.99}]}"#;

/// The text, which ends with a line break.
pub(crate) fn banner(
    (order_port, tracking_port, station_port): (u16, u16, Option<u16>),
    servers: &Servers,
    files: &StateFiles,
) -> String {
    let postgres = format!(
        "PGPASSFILE={} psql -h 127.0.0.1 -p {} -U {} {}",
        shell_word(&servers.postgres.password_file().to_string_lossy()),
        servers.postgres.port(),
        DATABASE.owner,
        DATABASE.name
    );
    let rabbitmq = format!("amqp://{}@127.0.0.1:{}", RabbitMqServer::USER, servers.rabbitmq.amqp_port());
    let rabbitmq = format!("{rabbitmq}   password: {}", servers.rabbitmq.password_file().display());
    let config = files.config.display().to_string();
    let token = files.staff_token.display().to_string();
    let home = servers.home().display().to_string();
    let order = format!("http://127.0.0.1:{order_port}");
    let mut rows = vec![
        ("orders", format!("{order}/orders   documentation: {order}/docs")),
        (
            "tracking",
            format!(
                "http://127.0.0.1:{tracking_port}   documentation: http://127.0.0.1:{tracking_port}/docs"
            ),
        ),
    ];
    rows.extend(
        station_port.map(|port| ("station", format!("http://127.0.0.1:{port}   log in as anna or max"))),
    );
    rows.extend([("PostgreSQL", postgres), ("RabbitMQ", rabbitmq)]);
    if let Some(port) = servers.rabbitmq.management_port() {
        rows.push((
            "",
            format!("http://127.0.0.1:{port}   user: {}, the same password", RabbitMqServer::USER),
        ));
    }
    rows.extend([("config", config), ("staff token", token), ("data, logs", home)]);
    let names = ["staff"].into_iter().chain(std::iter::repeat(""));
    rows.extend(names.zip(files.staff()));
    let mut text = String::from("\nThe restaurant is open.\n\n");
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<12} {value}");
    }
    let _ = writeln!(
        text,
        "\nPlace an order:\n  curl -s {order}/orders -H 'Content-Type: application/json' -d '{EXAMPLE_ORDER}'\n\
         Ctrl-C ends everything; the data is kept for the next start.\n"
    );
    text
}

/// A word for a shell's command line, quoted where it has to be.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:=@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(shell_word("/home/ada/.dev/pgpass"), "/home/ada/.dev/pgpass");
        assert_eq!(shell_word("/home/ada's code/x"), r"'/home/ada'\''s code/x'");
    }
}
