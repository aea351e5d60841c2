//! Connections to PostgreSQL beside those of the program.

use super::wait::eventually_ok;
use private_servers::PostgresServer;
use tokio_postgres::{Client, Config, NoTls};

/// The owner of the tables, with the password.
pub const OWNER: (&str, &str) = ("restaurant_user", "restaurant_pass");

/// A connection to a database of the server at this port, as soon as it takes one.
pub async fn connect(port: u16, database: &str, (user, password): (&str, &str)) -> Client {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).dbname(database).user(user).password(password);
    let (client, connection) = eventually_ok("a connection to the database", || config.connect(NoTls)).await;
    tokio::spawn(connection);
    client
}

/// The superuser's, who can change how the server works.
pub async fn superuser(server: &PostgresServer, database: &str) -> Client {
    let passwords = std::fs::read_to_string(server.password_file()).unwrap();
    let fields: Vec<&str> = passwords.lines().next().unwrap().split(':').collect();
    connect(server.port(), database, (fields[3], fields[4])).await
}
