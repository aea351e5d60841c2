//! The text that `dev` prints once everything runs: the addresses and folders.

use std::fmt::Write;

use private_servers::{RabbitMqServer, Servers};

use super::servers::DATABASE;
use super::state::StateFiles;

/// The order that the example command places.
const EXAMPLE_ORDER: &str = r#"{"customer_name":"Ada Lovelace","order_type":"takeout","items":[{"menu_item_id":"margherita","quantity":1}]}"#;

/// Where the roles are that listen.
pub(crate) struct Addresses {
    pub(crate) gateway: String,
    pub(crate) order: String,
    pub(crate) tracking: String,
    pub(crate) station: Option<String>,
}

/// The text, which ends with a line break.
pub(crate) fn banner(addresses: Addresses, servers: &Servers, files: &StateFiles) -> String {
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
    let Addresses { gateway, order, tracking, station } = addresses;
    let mut rows = vec![
        ("to order", gateway.clone()),
        ("for staff", format!("{gateway}/staff")),
        ("orders", format!("{order}/orders   documentation: {order}/docs")),
        ("tracking", format!("{tracking}   documentation: {tracking}/docs")),
    ];
    rows.extend(station.map(|url| ("station", format!("{url}   log in as anna or max"))));
    rows.extend([("PostgreSQL", postgres), ("RabbitMQ", rabbitmq)]);
    if let Some(port) = servers.rabbitmq.management_port() {
        rows.push((
            "",
            format!("http://127.0.0.1:{port}   user: {}, the same password", RabbitMqServer::USER),
        ));
    }
    let menu = files.menu.display().to_string();
    let metrics = format!("{}   for file_sd_configs of Prometheus", files.targets.display());
    rows.extend([("config", config), ("menu", menu), ("staff token", token), ("metrics", metrics)]);
    rows.push(("data, logs", home));
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
