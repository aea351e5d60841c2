//! The private servers' options: what the restaurant has on them, in `dev` and in tests alike.

use private_servers::{Database, DatabaseAccount, ServersOptions};

use super::PROGRAM;

/// The database, with an account for each role that uses it. The groups are those that `migrate` grants to
/// (`store/rights.rs`).
pub const DATABASE: Database = Database {
    name: "restaurant_db",
    owner: "restaurant_user",
    password: "restaurant_pass",
    accounts: &[
        DatabaseAccount { user: "restaurant_order_service", group: "restaurant_order" },
        DatabaseAccount { user: "restaurant_tracking_service", group: "restaurant_tracking" },
        DatabaseAccount { user: "restaurant_kitchen_worker", group: "restaurant_kitchen" },
    ],
};
/// The same in every version: RabbitMQ's disk has it.
const NODE: &str = "restaurant@localhost";

/// Durable servers with passwords that everybody knows, those of the default configuration.
pub fn servers_options() -> ServersOptions {
    let mut options = ServersOptions::new(PROGRAM, DATABASE);
    options.rabbitmq.node = NODE;
    options
}
