//! The commands that run a role, and `migrate`.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use daemon::runtime::DedicatedRuntime;
use tokio_util::task::AbortOnDropHandle;

use super::common::{CommonArgs, MetricsArgs, Setting, Usage, number};
use super::error::CliError;
use crate::broker::Part;
use crate::client::BaseUrl;
use crate::config::{Config, ConfigSources};
use crate::domain::{OrderType, WorkerName};
use crate::services::gateway::{self, GatewayOptions};
use crate::services::kitchen::{self, EstimateErrors, KitchenOptions, Station, StationOptions};
use crate::services::notification::{self, NotificationOptions};
use crate::services::order::{self, IntakeRules, OrderServiceOptions};
use crate::services::tracking::{self, TrackingServiceOptions};
use crate::services::{Transitions, UnmeasuredTimes, broker_readiness, readiness};

/// How long an order waits for its turn before the service says that it is full.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
struct ListenArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", env = "RESTAURANT_HOST", default_value = "127.0.0.1")]
    host: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system order-service --port 3000 --config /etc/restaurant-system/config.yaml")]
pub(super) struct OrderServiceArgs {
    /// Port to listen on; 0 for a free one
    #[arg(long, env = "RESTAURANT_PORT", default_value_t = 3000)]
    port: u16,

    /// Orders being taken at once; more wait briefly and then get 503
    #[arg(long, value_name = "N", env = "RESTAURANT_MAX_CONCURRENT", default_value_t = 50,
          value_parser = clap::value_parser!(u16).range(1..))]
    max_concurrent: u16,

    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system kitchen-worker --worker-name chef_anna
  restaurant-system kitchen-worker --worker-name chef_mario --order-types dine_in --prefetch 4 --cook-seconds 2.5
  restaurant-system kitchen-worker --worker-name grill --cooking manual --prefetch 12 --port 3001")]
pub(super) struct KitchenWorkerArgs {
    /// Its name; no two living workers share one
    #[arg(long, value_name = "NAME", env = "RESTAURANT_WORKER_NAME")]
    worker_name: WorkerName,

    /// What it cooks: a comma list of dine_in, takeout, delivery [default: all]
    #[arg(long, value_name = "TYPES", env = "RESTAURANT_ORDER_TYPES", value_parser = parse_order_types)]
    order_types: Option<OrderTypes>,

    /// Seconds between two signs of life
    #[arg(long, value_name = "SECONDS", env = "RESTAURANT_HEARTBEAT_INTERVAL", default_value = "30",
          value_parser = parse_interval)]
    heartbeat_interval: Duration,

    /// Orders cooked at once
    #[arg(long, value_name = "N", env = "RESTAURANT_PREFETCH", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..))]
    prefetch: u16,

    /// Seconds that an order of any type cooks; decimals and 0 allowed
    /// [default: kitchen.cook_seconds of the configuration]
    #[arg(long, value_name = "SECONDS", env = "RESTAURANT_COOK_SECONDS", allow_negative_numbers = true,
          value_parser = parse_cook_seconds)]
    cook_seconds: Option<String>,

    /// By what an order becomes ready: its time, or a person who says so at the station, which this worker serves then
    #[arg(long, value_enum, value_name = "HOW", env = "RESTAURANT_COOKING", default_value_t = CookingArg::Auto)]
    cooking: CookingArg,

    /// With --cooking manual, the station's port; 0 for a free one
    #[arg(long, env = "RESTAURANT_PORT", default_value_t = 3001)]
    port: u16,

    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CookingArg {
    Auto,
    Manual,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system tracking-service --port 3002")]
pub(super) struct TrackingServiceArgs {
    /// Port to listen on; 0 for a free one
    #[arg(long, env = "RESTAURANT_PORT", default_value_t = 3002)]
    port: u16,

    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  restaurant-system notification-subscriber
  restaurant-system notification-subscriber --name counter")]
pub(super) struct NotificationSubscriberArgs {
    /// Take the queue notifications_queue.NAME, waiting as a standby while another has it [default: the first free one
    /// of notifications_queue, .2, .3 …]
    #[arg(long, value_name = "NAME", env = "RESTAURANT_NAME", value_parser = parse_subscriber_name)]
    name: Option<String>,

    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system web-gateway --port 8080 --order-url http://127.0.0.1:3000 --tracking-url http://127.0.0.1:3002

Both services take its word on the addresses of customers where http.trusted_proxies has its own.")]
pub(super) struct WebGatewayArgs {
    /// Port to listen on; 0 for a free one
    #[arg(long, env = "RESTAURANT_PORT", default_value_t = 8080)]
    port: u16,

    /// The order service
    #[arg(long, value_name = "URL", env = "RESTAURANT_ORDER_URL", default_value = "http://127.0.0.1:3000")]
    order_url: BaseUrl,

    /// The tracking service
    #[arg(
        long,
        value_name = "URL",
        env = "RESTAURANT_TRACKING_URL",
        default_value = "http://127.0.0.1:3002"
    )]
    tracking_url: BaseUrl,

    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  restaurant-system migrate --config /etc/restaurant-system/config.yaml

Needs the account that owns the tables. Group roles that exist (restaurant_order, restaurant_tracking, restaurant_kitchen)
are granted what the roles need: docs/OPERATIONS.md, \"Accounts in PostgreSQL\".")]
pub(super) struct MigrateArgs {
    /// Seconds to wait for PostgreSQL
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_interval)]
    timeout: Duration,

    #[command(flatten)]
    common: CommonArgs,
}

/// PostgreSQL did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL could not be used within {0} s; is it running, and is the configuration right?")]
struct MigrateTimeout(f64);

pub(super) async fn order_service(args: OrderServiceArgs) -> Result<(), CliError> {
    let mut setting = Setting::new("order-service", &args.common, None, |sources| sources)?;
    let metrics_port = args.metrics.bind()?;
    let (menu, tables) = (setting.config.menu()?, setting.config.tables()?);
    let options = OrderServiceOptions {
        metrics: setting.metrics.clone(),
        host: args.listen.host,
        port: args.port,
        limits: setting.server_limits(0),
        max_concurrent: usize::from(args.max_concurrent),
        queue_timeout: QUEUE_TIMEOUT,
        reconciler: setting.config.outbox,
        staff: setting.staff.clone(),
        recall_within: setting.config.recall_within,
        public_url: setting.config.restaurant.public_url.clone(),
        menu,
        time_zone: setting.config.restaurant.time_zone.clone(),
        intake: IntakeRules {
            hours: setting.config.intake.hours.clone(),
            times: setting.config.intake.times,
            limits: setting.config.intake.limits,
            tables,
            unmeasured: unmeasured(&setting.config),
            promote_after: setting.config.kitchen.promote_after,
        },
    };
    let store = setting.store(Usage::Service)?;
    let broker = setting.broker("order-service", Part::OrderService, Usage::Service);
    setting.show_metrics(metrics_port, readiness(&store, &broker));
    let outcome =
        order::run(options, store, broker.clone(), setting.shutdown.clone(), &setting.manager).await;
    setting.leave(Some(broker), outcome).await
}

fn unmeasured(config: &Config) -> UnmeasuredTimes {
    UnmeasuredTimes { auto: config.kitchen.cook, manual: config.station.target }
}

pub(super) async fn kitchen_worker(args: KitchenWorkerArgs) -> Result<(), CliError> {
    let name = args.worker_name.to_string();
    let cook_seconds = args.cook_seconds;
    let sources = |sources: ConfigSources| match &cook_seconds {
        Some(seconds) => OrderType::ALL.iter().fold(sources, |sources, order_type| {
            sources.with_flag(
                &format!("kitchen.cook_seconds.{order_type}"),
                "--cook-seconds",
                seconds.as_str(),
            )
        }),
        None => sources,
    };
    let mut setting = Setting::new("kitchen-worker", &args.common, Some(name), sources)?;
    let metrics_port = args.metrics.bind()?;
    let broker =
        setting.broker(&format!("kitchen-worker.{}", args.worker_name), Part::Kitchen, Usage::Worker);
    let options = KitchenOptions {
        metrics: setting.metrics.clone(),
        name: args.worker_name,
        order_types: args.order_types.map_or_else(|| OrderType::ALL.to_vec(), |types| types.0),
        heartbeat_interval: args.heartbeat_interval,
        prefetch: args.prefetch,
        times: setting.config.kitchen,
        station: matches!(args.cooking, CookingArg::Manual).then(|| StationOptions {
            host: args.listen.host,
            port: args.port,
            limits: setting.server_limits(kitchen::STATION_STREAMS_MAX),
            times: setting.config.station,
            recall_within: setting.config.recall_within,
            staff: setting.staff.clone(),
            look: Arc::default(),
            estimate_errors: EstimateErrors::default(),
            transitions: Transitions::default(),
        }),
    };
    let store = setting.store(Usage::Worker)?;
    setting.show_metrics(metrics_port, readiness(&store, &broker));
    // While a batch is written the worker hears of hundreds of orders: the next batch does not wait behind them.
    let writing = DedicatedRuntime::start("kitchen").map_err(CliError::failed)?;
    let shutdown = setting.shutdown.clone();
    let mut station = None;
    if let Some(of_station) = options.station.clone() {
        let stopping = shutdown.stopping();
        match Station::bind(&options, of_station, &store, &broker, &stopping).await {
            Ok(bound) => station = Some(AbortOnDropHandle::new(tokio::spawn(bound.serve(stopping)))),
            Err(error) => return setting.leave(Some(broker), Err(error)).await,
        }
    }
    let outcome =
        kitchen::run(options, store, broker.clone(), shutdown, writing.handle(), &setting.manager).await;
    if let Some(station) = station.filter(|_| outcome.is_ok()) {
        // It was asked to stop as well, and answers what it was asked before.
        let _ = station.await;
    }
    setting.leave(Some(broker), outcome).await
}

pub(super) async fn tracking_service(args: TrackingServiceArgs) -> Result<(), CliError> {
    let mut setting = Setting::new("tracking-service", &args.common, None, |sources| sources)?;
    let metrics_port = args.metrics.bind()?;
    let options = TrackingServiceOptions {
        metrics: setting.metrics.clone(),
        host: args.listen.host,
        port: args.port,
        limits: setting.server_limits(setting.config.tracking.max_event_streams),
        unmeasured: unmeasured(&setting.config),
        promote_after: setting.config.kitchen.promote_after,
        max_event_streams: setting.config.tracking.max_event_streams,
        public_lists: setting.config.tracking.public_lists,
        staff: setting.staff.clone(),
    };
    let store = setting.store(Usage::Reader)?;
    let broker = setting.broker("tracking-service", Part::Tracking, Usage::Reader);
    setting.show_metrics(metrics_port, readiness(&store, &broker));
    let outcome =
        tracking::run(options, store, broker.clone(), setting.shutdown.clone(), &setting.manager).await;
    setting.leave(Some(broker), outcome).await
}

pub(super) async fn notification_subscriber(args: NotificationSubscriberArgs) -> Result<(), CliError> {
    let mut setting = Setting::new("notification-subscriber", &args.common, None, |sources| sources)?;
    let metrics_port = args.metrics.bind()?;
    let broker = setting.broker("notification-subscriber", Part::Subscriber, Usage::Worker);
    setting.show_metrics(metrics_port, broker_readiness(&broker));
    let options = NotificationOptions { name: args.name, metrics: setting.metrics.clone() };
    let stdout = setting.stdout()?;
    let outcome =
        notification::run(options, broker.clone(), stdout, setting.shutdown.clone(), &setting.manager).await;
    setting.leave(Some(broker), outcome).await
}

pub(super) async fn web_gateway(args: WebGatewayArgs) -> Result<(), CliError> {
    // It has no password: the files of the others' are not even read.
    let sources = |mut sources: ConfigSources| {
        sources.without_files = true;
        sources
    };
    let setting = Setting::new("web-gateway", &args.common, None, sources)?;
    let max_event_streams = setting.config.gateway_max_event_streams;
    let options = GatewayOptions {
        metrics: setting.metrics.clone(),
        metrics_port: args.metrics.bind()?,
        host: args.listen.host,
        port: args.port,
        limits: setting.server_limits_beside(max_event_streams, max_event_streams + gateway::CALLS_MAX),
        order_url: args.order_url.into_url(),
        tracking_url: args.tracking_url.into_url(),
        max_event_streams,
        restaurant: setting.config.restaurant.clone(),
    };
    let outcome = gateway::run(options, setting.shutdown.clone(), &setting.manager).await;
    setting.leave(None, outcome).await
}

pub(super) async fn migrate(args: MigrateArgs) -> Result<(), CliError> {
    let setting = Setting::new("migrate", &args.common, None, |sources| sources)?;
    let store = setting.store(Usage::Worker)?;
    let stopping = setting.shutdown.stopping();
    let outcome: Result<(), Box<dyn std::error::Error>> = tokio::select! {
        prepared = store.prepare_watched() => prepared.map(drop).map_err(Into::into),
        () = stopping.cancelled() => Ok(()),
        () = tokio::time::sleep(args.timeout) => Err(MigrateTimeout(args.timeout.as_secs_f64()).into()),
    };
    setting.leave(None, outcome.map_err(Failure)).await
}

/// An error of one of several kinds.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failure(Box<dyn std::error::Error>);

/// A list of order types, each once.
#[derive(Debug, Clone)]
struct OrderTypes(Vec<OrderType>);

fn parse_order_types(text: &str) -> Result<OrderTypes, String> {
    let mut types = Vec::new();
    for name in text.split(',').map(str::trim) {
        let order_type: OrderType = name.parse().map_err(|e| format!("{name:?} {e}"))?;
        if !types.contains(&order_type) {
            types.push(order_type);
        }
    }
    Ok(OrderTypes(types))
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    number(text, 0.05..=86_400.0, "must be a number of seconds from 0.05 to 86400")
        .map(Duration::from_secs_f64)
}

/// Kept as it was written: the configuration reads it again, as it would from the file.
fn parse_cook_seconds(text: &str) -> Result<String, String> {
    number(text, 0.0..=86_400.0, "must be a number of seconds from 0 to 86400, decimals allowed")?;
    Ok(text.to_owned())
}

/// The queue's name has 255 bytes at most.
pub(super) fn parse_subscriber_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 200 || !clean_text::is_clean_line(text) {
        return Err(
            "must have 1 to 200 bytes, no control character, none that breaks or turns a line, none that is invisible".to_owned()
        );
    }
    Ok(text.to_owned())
}
