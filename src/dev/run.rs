//! The `dev` command: servers, migrations and all roles from one command, and the end of all of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daemon::outlet;
use private_servers::{Cancel, ServerError, Servers, StateLock, ports};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::banner::{Addresses, banner};
use super::error::DevError;
use super::roles::{RoleCommand, Roles, run_once};
use super::servers::servers_options;
use super::state::StateFiles;
use super::{PROGRAM, metrics, say};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(100);
/// Orders that are being cooked may be finished: the longest takes 12 s by default.
const ROLES_STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// The simulation waits shorter than that for its orders, see [`DevOptions::simulation`].
const SIMULATION_STOP_TIMEOUT: Duration = Duration::from_secs(15);
const SERVER_CHECK_INTERVAL: Duration = Duration::from_secs(1);
const MAX_SERVER_RESTARTS: u32 = 5;

/// The worker at whose station persons cook.
const STATION: &str = "station";
/// As many tickets as a small screen shows.
const STATION_TICKETS: &str = "8";

/// A role that listens on `port`, which `flag` changes.
struct HttpRole {
    role: &'static str,
    port: u16,
    flag: &'static str,
}

/// The settings of `dev`.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// The program whose subcommands are the roles.
    pub program: PathBuf,
    /// The folder for data, logs and configuration.
    pub state_dir: PathBuf,
    /// Whether the data of earlier starts is dropped.
    pub fresh: bool,
    /// The web gateway's port.
    pub gateway_port: u16,
    /// The order service's port.
    pub order_port: u16,
    /// The tracking service's port.
    pub tracking_port: u16,
    /// The port of a station where persons cook; `None` for no station.
    pub station_port: Option<u16>,
    /// The kitchen workers' names.
    pub workers: Vec<String>,
    /// Cooking time of every order in seconds; `None` for the configured ones.
    pub cook_seconds: Option<f64>,
    /// Simulated orders a second; `None` for no simulation.
    pub simulate_rate: Option<f64>,
    /// Arguments for every role, such as `--log-format json`.
    pub role_args: Vec<OsString>,
}

/// Runs everything until SIGINT, SIGTERM or SIGHUP, then ends everything.
///
/// # Errors
/// A port is taken, a program is missing, a server does not start or a role cannot be kept running. Whatever was
/// started is ended before this returns.
pub async fn run(options: DevOptions) -> Result<(), DevError> {
    let mut signals = Signals::new()?;
    let lock = StateLock::take(&options.state_dir, PROGRAM)?;
    check_ports(&options)?;
    let files = StateFiles::in_dir(&options.state_dir)?;
    say(format_args!("starting PostgreSQL and RabbitMQ in {} (some 10 s)", options.state_dir.display()));
    let cancel = Cancel::default();
    let servers = match start_servers(&options, lock, &cancel, &mut signals).await {
        Err(ServerError::Interrupted) => {
            say(format_args!("stopped while starting"));
            return Ok(());
        }
        result => Arc::new(result?),
    };
    if servers.home() != files.dir() {
        say(format_args!(
            "the servers' files are in {}: their users cannot reach {}",
            servers.home().display(),
            files.dir().display()
        ));
    }
    let result = run_roles(&options, &servers, &files, &mut signals).await;
    stop_servers(servers, &cancel, &mut signals).await;
    match result {
        Err(DevError::Servers(ServerError::Interrupted)) => Ok(()),
        result => result,
    }
}

/// The HTTP ports, before anything is started.
fn check_ports(options: &DevOptions) -> Result<(), DevError> {
    let mut taken = Vec::new();
    for HttpRole { port, flag, .. } in options.http_roles() {
        if taken.contains(&port) || !ports::is_free(port) {
            return Err(DevError::PortTaken { port, flag });
        }
        taken.push(port);
    }
    Ok(())
}

async fn start_servers(
    options: &DevOptions,
    lock: StateLock,
    cancel: &Cancel,
    signals: &mut Signals,
) -> Result<Servers, ServerError> {
    let mut server_options = servers_options().with_random_passwords().with_cancel(cancel);
    server_options.fresh = options.fresh;
    let mut start = tokio::task::spawn_blocking(move || Servers::start_locked(lock, server_options));
    loop {
        tokio::select! {
            started = &mut start => return started.unwrap_or(Err(ServerError::Interrupted)),
            () = signals.next() => cancel.cancel(),
        }
    }
}

/// Stops both servers; a signal meanwhile kills them. What is committed or confirmed survives that as well.
async fn stop_servers(servers: Arc<Servers>, cancel: &Cancel, signals: &mut Signals) {
    say(format_args!("stopping PostgreSQL and RabbitMQ; Ctrl-C kills them"));
    let mut stop = tokio::task::spawn_blocking(move || servers.stop());
    let mut outcome = "everything has ended";
    loop {
        tokio::select! {
            _ = &mut stop => break,
            () = signals.next() => {
                outcome = "the servers were killed";
                cancel.cancel();
            }
        }
    }
    say(format_args!("{outcome}"));
}

/// Everything that needs the servers, until the end is asked for or something fails for good.
async fn run_roles(
    options: &DevOptions,
    servers: &Arc<Servers>,
    files: &StateFiles,
    signals: &mut Signals,
) -> Result<(), DevError> {
    files.write(options.fresh, servers, &local_url(options.gateway_port))?;
    let migrate = options.role("migrate", &[], &files.config);
    tokio::select! {
        migrated = run_once(&migrate) => migrated?,
        () = signals.next() => return Err(ServerError::Interrupted.into()),
    }
    let mut roles = options.roles(files);
    metrics::with_ports(&mut roles, &files.targets)?;
    let mut roles = Roles::start(roles);
    let mut simulation = Roles::start(Vec::new());
    let mut result = tokio::select! {
        ready = wait_until_ready(options) => ready,
        failed = roles.failed() => Err(failed),
        () = signals.next() => Err(ServerError::Interrupted.into()),
    };
    if result.is_ok() {
        say_banner(options, servers, files);
        simulation = Roles::start(options.simulation(&files.staff_token).into_iter().collect());
        result = tokio::select! {
            failed = roles.failed() => Err(failed),
            failed = simulation.failed() => Err(failed),
            failed = keep_running(servers) => Err(failed),
            () = signals.next() => Ok(()),
        };
    }
    say(format_args!("stopping: what is being cooked is finished; Ctrl-C again hurries"));
    simulation.stop(SIMULATION_STOP_TIMEOUT, async || signals.next().await).await;
    roles.stop(ROLES_STOP_TIMEOUT, async || signals.next().await).await;
    result
}

fn say_banner(options: &DevOptions, servers: &Servers, files: &StateFiles) {
    let addresses = Addresses {
        gateway: local_url(options.gateway_port),
        order: local_url(options.order_port),
        tracking: local_url(options.tracking_port),
        station: options.station_port.map(local_url),
    };
    let text = banner(addresses, servers, files);
    outlet::complain(format_args!("{text}"));
}

/// Starts a server that died again, as a service manager would; returns when that does not help.
async fn keep_running(servers: &Arc<Servers>) -> DevError {
    let mut restarts = 0;
    loop {
        tokio::time::sleep(SERVER_CHECK_INTERVAL).await;
        if servers.postgres.is_running() && servers.rabbitmq.is_running() {
            continue;
        }
        restarts += 1;
        say(format_args!("a server died: starting it again"));
        let servers = Arc::clone(servers);
        let restarted = tokio::task::spawn_blocking(move || servers.restart_dead()).await;
        match restarted.unwrap_or(Err(ServerError::Interrupted)) {
            Ok(()) if restarts < MAX_SERVER_RESTARTS => {}
            Ok(()) => {
                return DevError::RoleFailed {
                    role: "a server".to_owned(),
                    problem: format!("died {restarts} times"),
                };
            }
            Err(error) => return error.into(),
        }
    }
}

/// Waits until the HTTP roles say that they can do their job.
async fn wait_until_ready(options: &DevOptions) -> Result<(), DevError> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build();
    let failed = |role: &str, problem: String| DevError::RoleFailed { role: role.to_owned(), problem };
    let client = client.map_err(|error| failed("the check whether roles are ready", error.to_string()))?;
    let deadline = Instant::now() + READY_TIMEOUT;
    for HttpRole { role, port, .. } in options.http_roles() {
        loop {
            let answer = client.get(format!("http://127.0.0.1:{port}/readyz")).send().await;
            let state = match answer {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) => format!("/readyz answers {}", answer.status()),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(failed(
                    role,
                    format!("was not ready within {} s: {state}", READY_TIMEOUT.as_secs()),
                ));
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }
    Ok(())
}

impl DevOptions {
    /// All roles that run all the time.
    fn roles(&self, files: &StateFiles) -> Vec<RoleCommand> {
        let (order, tracking) = (self.order_port.to_string(), self.tracking_port.to_string());
        let (order_url, tracking_url) = (local_url(self.order_port), local_url(self.tracking_port));
        let gateway = self.gateway_port.to_string();
        let gateway = ["--port", &gateway, "--order-url", &order_url, "--tracking-url", &tracking_url];
        let mut roles = vec![
            self.role("web-gateway", &gateway, &files.config_of("web-gateway")),
            self.role("order-service", &["--port", &order], &files.config_of("order-service")),
            self.role("tracking-service", &["--port", &tracking], &files.config_of("tracking-service")),
            self.role("notification-subscriber", &[], &files.config_of("notification-subscriber")),
        ];
        let cook_seconds = self.cook_seconds.map(|seconds| seconds.to_string());
        for worker in &self.workers {
            let mut args = vec!["--worker-name", worker];
            if let Some(seconds) = &cook_seconds {
                args.extend(["--cook-seconds", seconds]);
            }
            let mut role = self.role("kitchen-worker", &args, &files.config_of("kitchen-worker"));
            role.name = format!("kitchen-worker {worker}");
            roles.push(role);
        }
        if let Some(port) = self.station_port.map(|port| port.to_string()) {
            let args = [
                "--worker-name",
                STATION,
                "--cooking",
                "manual",
                "--prefetch",
                STATION_TICKETS,
                "--port",
                &port,
            ];
            let mut role = self.role("kitchen-worker", &args, &files.config_of("kitchen-worker"));
            role.name = format!("kitchen-worker {STATION}");
            roles.push(role);
        }
        roles
    }

    /// The roles that listen.
    fn http_roles(&self) -> Vec<HttpRole> {
        let mut roles = vec![
            HttpRole { role: "web-gateway", port: self.gateway_port, flag: "--gateway-port" },
            HttpRole { role: "order-service", port: self.order_port, flag: "--order-port" },
            HttpRole { role: "tracking-service", port: self.tracking_port, flag: "--tracking-port" },
        ];
        roles.extend(self.station_port.map(|port| HttpRole {
            role: "the station",
            port,
            flag: "--station-port",
        }));
        roles
    }

    fn role(&self, name: &str, args: &[&str], config: &Path) -> RoleCommand {
        let mut all: Vec<OsString> = vec![name.into()];
        all.extend(args.iter().map(OsString::from));
        all.extend(["--config".into(), config.into()]);
        all.extend(self.role_args.iter().cloned());
        RoleCommand {
            name: name.to_owned(),
            program: self.program.clone(),
            args: all,
            may_end: false,
            forward_stderr: false,
        }
    }

    /// The simulated customers, where they are wanted.
    fn simulation(&self, staff_token: &Path) -> Option<RoleCommand> {
        let rate = self.simulate_rate?.to_string();
        let (order, tracking) = (local_url(self.order_port), local_url(self.tracking_port));
        let args =
            ["simulate", "--rate", &rate, "--wait-ready", "5", "--url", &order, "--tracking-url", &tracking];
        let mut args: Vec<_> = args.iter().map(OsString::from).collect();
        args.extend(["--staff-token-file".into(), staff_token.into()]);
        Some(RoleCommand {
            name: "simulate".to_owned(),
            program: self.program.clone(),
            args,
            may_end: true,
            forward_stderr: true,
        })
    }
}

/// Of a role that listens.
fn local_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The signals that ask for the end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, ServerError> {
        let listen = |kind| signal(kind).map_err(ServerError::io("listen for", Path::new("signals")));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
