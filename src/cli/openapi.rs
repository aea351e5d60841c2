//! `openapi`: prints the OpenAPI document of a service, made from its code.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use http_kit::system::openapi_json;

use crate::services::{gateway, kitchen, order, tracking};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system openapi order > order-service.openapi.json")]
pub(super) struct OpenapiArgs {
    /// Of which service
    service: HttpRole,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum HttpRole {
    /// The order service
    Order,
    /// The tracking service
    Tracking,
    /// A kitchen worker's station
    Station,
    /// The web gateway
    Gateway,
}

pub(super) fn run(args: &OpenapiArgs) -> io::Result<()> {
    let document = match args.service {
        HttpRole::Order => openapi_json::<order::OrderServiceApi>(&order::info()),
        HttpRole::Tracking => openapi_json::<tracking::TrackingApi>(&tracking::info()),
        HttpRole::Gateway => openapi_json::<gateway::GatewayApi>(&gateway::info()),
        HttpRole::Station => openapi_json::<kitchen::StationServiceApi>(&kitchen::station_info()),
    };
    writeln!(io::stdout().lock(), "{}", document.trim_end())
}
