//! `openapi`: prints the OpenAPI document of a service, made from its code.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use crate::http::system::openapi_json;
use crate::services::{order, tracking};

const EXAMPLES: &str = "\
Example:
  restaurant-system openapi order > order-service.openapi.json";

/// Which document.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct OpenapiArgs {
    /// Of which service
    service: Service,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Service {
    /// The order service
    Order,
    /// The tracking service
    Tracking,
}

/// Prints it.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn run(args: &OpenapiArgs) -> io::Result<()> {
    let document = match args.service {
        Service::Order => openapi_json::<order::OrderApi>(&order::info()),
        Service::Tracking => openapi_json::<tracking::TrackingApi>(&tracking::info()),
    };
    writeln!(io::stdout().lock(), "{}", document.trim_end())
}
