//! The flags that every role takes, and the connections to its servers that it makes from them.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqp::{Broker, BrokerError, BrokerOptions, Publish};
use clap::Args;
use daemon::clock::whole_ms;
use daemon::metrics::Metrics;
use daemon::outlet::Outlet;
use daemon::shutdown::Shutdown;
use daemon::systemd::ServiceManager;
use daemon::telemetry::{self, LevelHandle, LogFormat, LogLevel, TelemetryGuard, TelemetryOptions};
use daemon::traces::Traces;
use daemon::{descriptors, memory};
use http_kit::health::Readiness;
use http_kit::server::{Listener, ServerLimits};
use secrecy::SecretString;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::error::CliError;
use crate::broker::Part;
use crate::config::{Config, ConfigError, ConfigSources};
use crate::domain::StaffAccess;
use crate::services::{CONNECTIONS_BESIDE_STREAMS, ServerMetrics, show_metrics};
use crate::store::{DatabaseOptions, Store, StoreAccess, StoreOptions};

/// The program's own crates, whose lines are its own in the log.
pub(super) const OWN_CRATES: &[&str] =
    &["restaurant_system", "amqp", "clean_text", "daemon", "http_kit", "private_servers", "settings"];
/// What the names of all metrics begin with (contract, section 15).
const METRICS_PREFIX: &str = "restaurant";
/// Unused connections to PostgreSQL are closed after this time. A worker sweeps every other second and keeps
/// one for that: logging in anew each time costs both sides more than the connection does. What a rush has opened beyond
/// that is closed soon, since there may be many workers.
const SERVICE_IDLE: Duration = Duration::from_secs(60);
const WORKER_IDLE: Duration = Duration::from_secs(5);
/// A service asks PostgreSQL so often whether it is there, so that `/readyz` knows. The order service's question sets the clock
/// of writes (`store/writes.rs`), which wants it every 3 s.
const SERVICE_PROBE: Duration = Duration::from_secs(2);
/// A service that publishes nothing for so long finds out whether RabbitMQ would take it, so that `/readyz` knows.
const ALARM_PROBE: Duration = Duration::from_secs(5);
/// Connections to servers beside the pool's, at most.
const OTHER_SERVER_CONNECTIONS: usize = 16;
/// How long RabbitMQ may take to let a command in, whatever the configuration says about one host.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);
/// How long the farewell to RabbitMQ may take.
pub(super) const GOODBYE: Duration = Duration::from_secs(10);

/// The number that a flag has, within its range.
pub(super) fn number(text: &str, range: RangeInclusive<f64>, rule: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| rule.to_owned())
}

/// The token in the file that a flag names.
pub(super) fn parse_token_file(path: &str) -> Result<SecretString, String> {
    settings::read_secret(Path::new(path)).map(|(secret, _)| secret)
}

/// The flag of every command that reads the configuration.
#[derive(Debug, Clone, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file [default: ./config.yaml where it exists, else built-in values]
    #[arg(long, value_name = "FILE", env = "RESTAURANT_CONFIG", global = true)]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    pub(super) fn sources(&self) -> ConfigSources {
        ConfigSources::from_process(self.config.clone())
    }
}

#[derive(Debug, Clone, Args)]
pub(super) struct CommonArgs {
    #[command(flatten)]
    config: ConfigArgs,

    /// How log lines are written
    /// [default: log.format of the configuration, else auto]
    #[arg(long, value_enum, value_name = "FORMAT", env = "RESTAURANT_LOG_FORMAT")]
    log_format: Option<LogFormat>,

    /// The least severe log lines that are written
    /// [default: log.level of the configuration, else info]
    #[arg(long, value_enum, value_name = "LEVEL", env = "RESTAURANT_LOG_LEVEL")]
    log_level: Option<LogLevel>,
}

/// The flags of every role that shows how it is on a port of its own.
#[derive(Debug, Clone, Args)]
pub(super) struct MetricsArgs {
    /// Port for /metrics, /healthz and /readyz alone; 0 for a free one [default: none]
    #[arg(long, value_name = "PORT", env = "RESTAURANT_METRICS_PORT")]
    metrics_port: Option<u16>,

    /// Address on which --metrics-port listens
    #[arg(long, value_name = "ADDRESS", env = "RESTAURANT_METRICS_HOST", default_value = "127.0.0.1")]
    metrics_host: IpAddr,
}

impl MetricsArgs {
    /// Listens, where that is wished.
    pub(super) fn bind(&self) -> Result<Option<Listener>, CliError> {
        let bind = |port| Listener::bind_for("--metrics-port", self.metrics_host, port);
        self.metrics_port.map(bind).transpose().map_err(CliError::failed)
    }
}

/// How a role uses its servers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usage {
    /// Requests come at any time.
    Service,
    /// The same, but none of them writes.
    Reader,
    /// Mostly idle, and one of many.
    Worker,
}

/// A role's surroundings while it runs.
pub(super) struct Setting {
    service: &'static str,
    started: Instant,
    telemetry: TelemetryGuard,
    pub(super) metrics: Metrics,
    servers: ServerMetrics,
    metrics_port: Option<AbortOnDropHandle<()>>,
    traces: Traces,
    /// Files that the process may have open.
    open_files: u64,
    pub(super) config: Config,
    /// By what staff are known: as the configuration has it now, which is read again on SIGHUP.
    pub(super) staff: watch::Receiver<StaffAccess>,
    pub(super) shutdown: Shutdown,
    pub(super) manager: ServiceManager,
}

impl Setting {
    /// Reads the configuration and sets up the log.
    pub(super) fn new(
        service: &'static str,
        common: &CommonArgs,
        worker_name: Option<String>,
        sources: impl FnOnce(ConfigSources) -> ConfigSources,
    ) -> Result<Self, CliError> {
        let is_private = memory::keep_private();
        let sources = sources(common.config.sources());
        let config = Config::load(&sources)?;
        let telemetry = telemetry::init(TelemetryOptions {
            own_crates: OWN_CRATES,
            service,
            format: common.log_format.unwrap_or(config.log.format),
            level: common.log_level.unwrap_or(config.log.level),
            worker_name,
        })
        .map_err(CliError::failed)?;
        let traces = Traces::from_env(service, env!("CARGO_PKG_VERSION")).map_err(CliError::failed)?;
        for warning in &config.warnings {
            tracing::warn!(action = "configuration_doubtful", "{warning}");
        }
        if !is_private {
            tracing::warn!(
                action = "memory_readable",
                "the kernel does not keep this process's memory from other processes of its user"
            );
        }
        let shutdown = Shutdown::listen().map_err(CliError::failed)?;
        let manager = ServiceManager::from_env();
        let (staff, of_staff) = watch::channel(config.staff.clone());
        // At a terminal this signal means that the terminal is gone, and ends the process.
        if manager.is_there() || config.staff.accounts.is_some() && !std::io::stdin().is_terminal() {
            let hangups = signal(SignalKind::hangup()).map_err(CliError::failed)?;
            let without_files = sources.without_files;
            let read_again = move |common: &CommonArgs| {
                let mut sources = common.config.sources();
                sources.without_files = without_files;
                Config::load(&sources)
            };
            let (common, level) = (common.clone(), telemetry.level());
            tokio::spawn(reload_on(hangups, manager.clone(), common, read_again, level, staff));
        }
        let (open_files, started) = (descriptors::raise_limit(), Instant::now());
        let metrics = Metrics::with_prefix(METRICS_PREFIX);
        metrics.register_build(env!("CARGO_PKG_VERSION"));
        let servers = ServerMetrics::register(&metrics);
        Ok(Self {
            servers,
            metrics_port: None,
            traces,
            service,
            started,
            telemetry,
            metrics,
            open_files,
            config,
            staff: of_staff,
            shutdown,
            manager,
        })
    }

    pub(super) fn stdout(&self) -> Result<Arc<Outlet>, CliError> {
        self.telemetry.stdout().map_err(CliError::failed)
    }

    /// How connections are treated, where so many may be streams of events: others get through beside them.
    pub(super) fn server_limits(&self, event_streams: usize) -> ServerLimits {
        // Beside the pool: the order service's intake, the probe, RabbitMQ, and what is being closed or opened anew.
        self.server_limits_beside(event_streams, self.config.database.pool_size + OTHER_SERVER_CONNECTIONS)
    }

    /// The same of a process that has up to so many connections to its own servers.
    pub(super) fn server_limits_beside(&self, event_streams: usize, servers: usize) -> ServerLimits {
        let usual = ServerLimits::default();
        let wished = usual.connections.max(event_streams + CONNECTIONS_BESIDE_STREAMS);
        let connections = descriptors::for_clients(self.open_files, wished, servers);
        if connections < wished {
            tracing::warn!(
                action = "few_file_descriptors",
                connections,
                details = %format_args!("{} open files", self.open_files),
                "the limit on open files leaves fewer connections for clients than usual; raise it (ulimit -Hn, LimitNOFILE=)"
            );
        }
        let share = self.config.http.connections_per_address;
        ServerLimits {
            connections,
            connections_per_address: share.unwrap_or(connections.div_ceil(2)),
            trusted_proxies: self.config.http.trusted_proxies.iter().copied().collect(),
            allowed_hosts: self.config.http.allowed_hosts.iter().cloned().collect(),
            ..usual
        }
    }

    pub(super) fn store(&self, usage: Usage) -> Result<Store, CliError> {
        let options = store_options(&self.config.database, self.service, usage);
        let store = Store::new(options, self.shutdown.hurry()).map_err(CliError::failed)?;
        self.servers.follow_store(store.state());
        Ok(store)
    }

    /// The way to RabbitMQ. It must be closed in the end ([`Setting::leave`]).
    pub(super) fn broker(&self, connection_name: &str, part: Part, usage: Usage) -> Broker {
        let mut options = broker_options(&self.config.rabbitmq, part, connection_name);
        options.alarm_probe = (!matches!(usage, Usage::Worker)).then_some(ALARM_PROBE);
        options.metrics = self.metrics.clone();
        let broker = Broker::start(options);
        self.servers.follow_broker(broker.state());
        broker
    }

    /// Shows the role's metrics and health where a port was asked for, until the role is left.
    pub(super) fn show_metrics(&mut self, port: Option<Listener>, readiness: Readiness) {
        self.metrics_port = port.map(|port| show_metrics(port, &self.metrics, readiness));
    }

    /// Says goodbye to RabbitMQ, and how the role has ended.
    pub(super) async fn leave<E>(self, broker: Option<Broker>, outcome: Result<(), E>) -> Result<(), CliError>
    where
        E: std::error::Error + 'static,
    {
        if let Some(broker) = broker {
            // The server notices a connection that is cut as well.
            let _ = tokio::time::timeout(GOODBYE, broker.close()).await;
        }
        self.traces.end().await;
        let duration_ms = whole_ms(self.started.elapsed());
        match outcome {
            Ok(()) => {
                tracing::info!(action = "service_stopped", duration_ms, "stopped as asked");
                Ok(())
            }
            Err(error) => {
                self.manager.say(&format!("failed: {error}"));
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "service_failed", error, duration_ms, "{error}");
                Err(CliError::Logged)
            }
        }
    }
}

/// Takes the log level and the staff's accounts and token from the configuration again at each signal; a flag or its variable
/// still beats it.
async fn reload_on(
    mut hangups: Signal,
    manager: ServiceManager,
    common: CommonArgs,
    read_again: impl Fn(&CommonArgs) -> Result<Config, ConfigError>,
    level: LevelHandle,
    staff: watch::Sender<StaffAccess>,
) {
    while hangups.recv().await.is_some() {
        manager.reload(|| match read_again(&common) {
            Ok(config) => {
                level.set(common.log_level.unwrap_or(config.log.level));
                let accounts = config.staff.accounts.as_ref().map_or(0, Vec::len);
                staff.send_replace(config.staff);
                let details = format!("log level {:?}, {accounts} accounts", level.get()).to_lowercase();
                tracing::info!(
                    action = "configuration_reloaded",
                    details,
                    "what can change while running is reloaded"
                );
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(action = "reload_failed", error, "the configuration is as it was");
            }
        });
    }
}

pub(super) fn store_options(server: &DatabaseOptions, service: &str, usage: Usage) -> StoreOptions {
    let (idle_timeout, probe_interval) = match usage {
        Usage::Service | Usage::Reader => (SERVICE_IDLE, Some(SERVICE_PROBE)),
        Usage::Worker => (WORKER_IDLE, None),
    };
    StoreOptions {
        server: server.clone(),
        application_name: format!("restaurant-system {service}"),
        idle_timeout,
        probe_interval,
        writes: !matches!(usage, Usage::Reader),
    }
}

pub(super) fn broker_options(server: &BrokerOptions, part: Part, connection_name: &str) -> BrokerOptions {
    BrokerOptions { topology: Arc::new(part), connection_name: connection_name.to_owned(), ..server.clone() }
}

/// Why a command is not connected to RabbitMQ.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotConnected {
    #[error(transparent)]
    Refused(#[from] BrokerError),
    #[error("RabbitMQ did not let us in within {} s", CONNECT_PATIENCE.as_secs())]
    TimedOut,
}

/// Waits for RabbitMQ to let a command in.
pub(super) async fn connected(broker: &Broker) -> Result<(), NotConnected> {
    let connected = tokio::time::timeout(CONNECT_PATIENCE, broker.connected_at_once()).await;
    Ok(connected.map_err(|_| NotConnected::TimedOut)??)
}
