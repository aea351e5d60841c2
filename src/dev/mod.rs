//! The `dev` command: private servers, migrations and all roles from one command.
//!
//! - [`run`] is the command; its servers are those of [`private_servers`].
//! - [`servers_options`] is what the restaurant has on such servers: the tests use it as well.

mod banner;
mod error;
mod metrics;
mod roles;
mod run;
mod servers;
mod state;

use daemon::outlet;

pub use error::DevError;
pub use run::{DevOptions, run};
pub use servers::{DATABASE, servers_options};

const PROGRAM: &str = "restaurant-system";

/// Tells the user of `dev` something, on standard error: standard output has the roles' lines and nothing else.
fn say(text: std::fmt::Arguments<'_>) {
    outlet::complain(format_args!("dev: {text}\n"));
}
