//! A private RabbitMQ server: its own node, disk and ports on 127.0.0.1, with an Erlang port mapper of its own that
//! ends with it.
//!
//! Every method blocks: from asynchronous code call them through `spawn_blocking`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use daemon::sync::locked;
use nix::sys::signal::Signal;
use secrecy::{ExposeSecret, SecretString};

use super::account::Account;
use super::error::ServerError;
use super::files;
use super::ports;
use super::process::{self, Cancel, ServerProcess};
use super::programs::{ProgramSearch, RabbitMqPrograms};

const NAME: &str = "RabbitMQ";
/// Whom the server of root may run as.
pub(crate) const USERS: &[&str] = &["rabbitmq", "nobody"];
/// The folders that are the server's own to write: its disk, its logs, and where it runs.
const DISK: &str = "mnesia";
const LOGS: &str = "log";
pub(crate) const WORK: &str = "work";
/// By this secret the nodes of a cluster let each other in; they listen on loopback only.
const COOKIE: &str = "private";
/// RabbitMQ's own default, where a random one is not wanted.
const KNOWN_PASSWORD: &str = "guest";
/// Nodes talk on loopback only. An idle scheduler sleeps at once: by default it spins for a while, at the expense of
/// all others on the same cores (RabbitMQ's guide to runtime tuning, "busy waiting"). Queues have the storage that
/// RabbitMQ 4 has alone; versions before 3.10 do not know it, nor that they are asked for it.
const ERLANG_ARGS: &str = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none \
     -rabbit classic_queue_default_version 2";
/// The ids of broker and port mapper, and the port of the latter, for a next start after we were killed.
const PID_FILE: &str = "pids";
const PASSWORD_FILE: &str = "password";
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
const EPMD_TIMEOUT: Duration = Duration::from_secs(10);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(60);

/// How a private RabbitMQ server is to be run.
#[derive(Debug, Clone)]
pub struct RabbitMqOptions {
    /// Whether the management plugin (HTTP API and pages) runs. It costs no time at the start, and 5 s at the stop.
    pub management: bool,
    /// Whether `guest` has a random password, kept from start to start, in place of `guest`.
    pub random_password: bool,
    /// The node's name, the same at every start: it is part of what the server writes to its disk. The nodes of a cluster
    /// have a number behind its first part.
    pub node: &'static str,
    /// Where the programs are looked for.
    pub programs: ProgramSearch,
    /// How long each start may take; 8 to 15 s are usual.
    pub start_timeout: Duration,
    /// How long a clean stop may take before it is ended by force.
    pub stop_timeout: Duration,
    /// Gives up a start in progress.
    pub cancel: Cancel,
}

impl Default for RabbitMqOptions {
    /// With management, the well-known password, 120 s to start, 20 s to stop.
    fn default() -> Self {
        Self {
            management: true,
            random_password: false,
            node: "private@localhost",
            programs: ProgramSearch::default(),
            start_timeout: Duration::from_secs(120),
            stop_timeout: Duration::from_secs(20),
            cancel: Cancel::default(),
        }
    }
}

/// The cluster that a node belongs to. At its first start the node joins those of the others that run.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its own name, such as `one@localhost`.
    pub(crate) node: String,
    /// The names of all nodes.
    pub(crate) nodes: Vec<String>,
    /// Where Erlang's port mapper listens, which the nodes share: it must outlive a node that is killed.
    pub(crate) epmd_port: u16,
}

/// The ports of one server, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
struct Ports {
    amqp: u16,
    management: u16,
    distribution: u16,
    epmd: u16,
}

/// The two processes of a running server. The broker is dropped, and so ended, before its port mapper, which a node of a
/// cluster does not have.
#[derive(Debug)]
struct Running {
    broker: ServerProcess,
    _epmd: Option<ServerProcess>,
}

/// A private RabbitMQ server with the user `guest`; stopped when dropped.
#[derive(Debug)]
pub struct RabbitMqServer {
    home: PathBuf,
    ports: Ports,
    account: Account,
    password: SecretString,
    programs: RabbitMqPrograms,
    options: RabbitMqOptions,
    member: Option<Member>,
    running: Mutex<Option<Running>>,
}

impl RabbitMqServer {
    /// The user that is there, RabbitMQ's own default.
    pub const USER: &str = "guest";

    /// Starts a server with its files in `home`, which is created at the first start; the ports of the last start are
    /// kept where they are free still.
    ///
    /// # Errors
    /// A program is not installed, a file cannot be written, or the server does not come up in time.
    pub fn start(home: &Path, options: RabbitMqOptions) -> Result<Self, ServerError> {
        Self::start_as(home, options, None)
    }

    /// The same, as a node of a cluster.
    pub(crate) fn start_as(
        home: &Path,
        options: RabbitMqOptions,
        member: Option<Member>,
    ) -> Result<Self, ServerError> {
        let programs = options.programs.rabbitmq()?;
        super::account::claim_home(home, USERS)?;
        let account = Account::choose(NAME, &home.join(DISK), USERS)?;
        let password =
            if options.random_password { kept_or_random_password(home) } else { KNOWN_PASSWORD.into() };
        files::write(&home.join(PASSWORD_FILE), &format!("{}\n", password.expose_secret()), None)?;
        let kept = home.join("ports");
        let numbers = ports::kept_or_free_ports(&kept)?;
        ports::keep_ports(&kept, &numbers)?;
        let [amqp, management, distribution, own_epmd] = numbers;
        let epmd = member.as_ref().map_or(own_epmd, |member| member.epmd_port);
        let ports = Ports { amqp, management, distribution, epmd };
        let (home, running) = (home.to_path_buf(), Mutex::new(None));
        let server = Self { home, ports, account, password, programs, options, member, running };
        server.restart()?;
        Ok(server)
    }

    /// The port for AMQP on 127.0.0.1.
    pub fn amqp_port(&self) -> u16 {
        self.ports.amqp
    }

    /// The port of the HTTP API and the management pages on 127.0.0.1, where they are on.
    pub fn management_port(&self) -> Option<u16> {
        self.options.management.then_some(self.ports.management)
    }

    /// The password of `guest`.
    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// A file with the password of `guest`; for its owner only.
    pub fn password_file(&self) -> PathBuf {
        self.home.join(PASSWORD_FILE)
    }

    /// Whether the broker runs.
    pub fn is_running(&self) -> bool {
        self.running().as_ref().is_some_and(|running| running.broker.is_running())
    }

    /// Stops it cleanly.
    pub fn stop(&self) {
        if let Some(running) = self.running().take() {
            running.broker.stop(Signal::SIGTERM, self.options.stop_timeout, &self.options.cancel);
        }
    }

    /// Kills it at once (SIGKILL), as a crash would; [`Self::restart`] recovers what it had on its disk.
    pub fn kill(&self) {
        drop(self.running().take());
    }

    /// Freezes it (SIGSTOP): connections stay open, and nothing answers any more.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.running().as_ref().ok_or(ServerError::NotRunning { server: NAME })?.broker.pause()
    }

    /// Goes on after [`Self::pause`].
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.running().as_ref().ok_or(ServerError::NotRunning { server: NAME })?.broker.resume()
    }

    /// Stops it where it still runs, and starts it again on the same ports with what it has on its disk.
    ///
    /// # Errors
    /// It does not come up in time, because a port was taken meanwhile, say.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.stop();
        let running = self.launch()?;
        *self.running() = Some(running);
        Ok(())
    }

    /// Kills it, deletes its disk and starts it again on the same ports: a broker that lost everything, virtual hosts
    /// among it.
    ///
    /// # Errors
    /// Its disk cannot be deleted or it does not come up in time.
    pub fn wipe(&self) -> Result<(), ServerError> {
        self.kill();
        let disk = self.home.join(DISK);
        if disk.exists() {
            std::fs::remove_dir_all(&disk).map_err(ServerError::io("remove", &disk))?;
        }
        self.restart()
    }

    /// Runs `rabbitmqctl` with these arguments on the running server; takes some seconds.
    ///
    /// # Errors
    /// It cannot be run, or says no.
    pub fn control(&self, arguments: &[&str]) -> Result<(), ServerError> {
        let mut command = self.isolated(Command::new(self.programs.server.with_file_name("rabbitmqctl")));
        command.args(["--node", self.node()]).args(arguments);
        let log = self.home.join("rabbitmqctl.log");
        let mut running = ServerProcess::spawn("rabbitmqctl", command, self.account, &log)?;
        running.wait_success(CONTROL_TIMEOUT, &self.options.cancel)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        locked(&self.running)
    }

    fn launch(&self) -> Result<Running, ServerError> {
        end_left_behind(&self.home);
        for folder in [DISK, LOGS, WORK] {
            self.account.create_dir(&self.home.join(folder))?;
        }
        self.write_configuration()?;
        let epmd = self.member.is_none().then(|| self.launch_epmd()).transpose()?;
        let broker = ServerProcess::spawn(NAME, self.broker_command(), self.account, &self.log())?;
        let epmd_pid = epmd.as_ref().map_or(0, ServerProcess::pid);
        let pids = format!("{} {epmd_pid} {}\n", broker.pid(), self.ports.epmd);
        files::write(&self.home.join(PID_FILE), &pids, None)?;
        let ready = || {
            let management = self.options.management.then_some(self.ports.management);
            speaks_amqp(self.ports.amqp) && management.is_none_or(accepts)
        };
        broker.wait_until(self.options.start_timeout, &self.options.cancel, ready)?;
        Ok(Running { broker, _epmd: epmd })
    }

    fn node(&self) -> &str {
        self.member.as_ref().map_or(self.options.node, |member| &member.node)
    }

    fn log(&self) -> PathBuf {
        self.home.join("rabbitmq.log")
    }

    fn write_configuration(&self) -> Result<(), ServerError> {
        let Ports { amqp, management, .. } = self.ports;
        let password = self.password.expose_secret();
        // The log goes to standard output, which is our log file. Statistics are collected often enough for somebody
        // who watches; a small disk or memory must not block a server that holds next to nothing.
        let mut text = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nlog.console = true\nlog.console.level = info\nlog.console.use_colors = off\nlog.file = false\n\
             collect_statistics_interval = 500\ndisk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\n\
             default_user = {}\ndefault_pass = {password}\n",
            Self::USER
        );
        let mut plugins = "[].";
        if self.options.management {
            plugins = "[rabbitmq_management].";
            text.push_str(&format!("management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n"));
        }
        if let Some(member) = &self.member {
            text.push_str("cluster_formation.peer_discovery_backend = classic_config\ncluster_partition_handling = pause_minority\n");
            for (n, node) in (1..).zip(&member.nodes) {
                text.push_str(&format!("cluster_formation.classic_config.nodes.{n} = {node}\n"));
            }
            self.account.write(&self.home.join(".erlang.cookie"), COOKIE)?;
        }
        self.account.write(&self.home.join("rabbitmq.conf"), &text)?;
        self.account.write(&self.home.join("enabled_plugins"), &format!("{plugins}\n"))
    }

    /// Takes from a command what of our environment could steer it.
    fn isolated(&self, command: Command) -> Command {
        let mut command = isolated(command, &self.home, self.ports.epmd, &self.options);
        if self.member.is_some() {
            // The cookie is there, which is ours to write. Without one Erlang makes its own where it runs.
            command.env("HOME", &self.home);
        }
        command
    }

    fn launch_epmd(&self) -> Result<ServerProcess, ServerError> {
        launch_epmd(&self.programs, &self.home, self.ports.epmd, &self.options, self.account)
    }

    /// Its schedulers become ready with every few messages, and each time one would push off whoever has the processor:
    /// with two processors for everything that was 4.6 context switches for an order, and is 1.3 under this policy.
    fn broker_command(&self) -> Command {
        let mut command = self.isolated(process::batch_command(&self.programs.server));
        let file = |name: &str| self.home.join(name);
        // With this the start script becomes the broker rather than its parent, so signals reach the right process.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        command.env("RABBITMQ_NODENAME", self.node());
        command.env("RABBITMQ_DIST_PORT", self.ports.distribution.to_string());
        command.env("RABBITMQ_MNESIA_BASE", file(DISK)).env("RABBITMQ_LOG_BASE", file(LOGS));
        command.env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"));
        // Files of the system's own broker, which must not count here: these do not exist.
        command.env("RABBITMQ_ADVANCED_CONFIG_FILE", file("no-advanced.config"));
        command.env("RABBITMQ_CONF_ENV_FILE", file("no-env.conf"));
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG_ARGS);
        // Unknown to Erlang, and so without effect: it shows on the command line whose process this is.
        command.arg("-private_home").arg(&self.home);
        command
    }
}

impl Drop for RabbitMqServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn isolated(mut command: Command, home: &Path, epmd_port: u16, options: &RabbitMqOptions) -> Command {
    let work = home.join(WORK);
    command.env_clear().env("PATH", &options.programs.path).env("LANG", "C.UTF-8");
    command.env("HOME", &work).current_dir(&work);
    command.env("ERL_EPMD_PORT", epmd_port.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command
}

/// Erlang would start its port mapper as a daemon that outlives us: ours is a child, there before the broker. It runs in
/// the folder [`WORK`] of `home`.
pub(crate) fn launch_epmd(
    programs: &RabbitMqPrograms,
    home: &Path,
    port: u16,
    options: &RabbitMqOptions,
    account: Account,
) -> Result<ServerProcess, ServerError> {
    account.create_dir(&home.join(WORK))?;
    let mut command = isolated(Command::new(&programs.epmd), home, port, options);
    command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    let epmd = ServerProcess::spawn("epmd", command, account, &home.join("epmd.log"))?;
    epmd.wait_until(EPMD_TIMEOUT, &options.cancel, || accepts(port))?;
    Ok(epmd)
}

/// The password of the last start, else a random one. The server takes it when it makes its disk, and never again: a disk
/// without a password beside it is that of an earlier version, which had none.
fn kept_or_random_password(home: &Path) -> SecretString {
    let kept = files::read(&home.join(PASSWORD_FILE)).map(|text| text.trim().to_owned());
    let word = kept.filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric()));
    let earlier = || home.join(DISK).exists().then(|| KNOWN_PASSWORD.to_owned());
    word.or_else(earlier).unwrap_or_else(files::random_word).into()
}

/// Ends what an earlier, killed run left behind in `home`, each process only if its command line shows that it is ours.
pub(crate) fn end_left_behind(home: &Path) {
    let text = files::read(&home.join(PID_FILE)).unwrap_or_default();
    let disk = home.join(DISK);
    let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if let [broker, epmd, epmd_port] = numbers[..] {
        process::end_left_behind(broker, &home.to_string_lossy(), &disk);
        process::end_left_behind(epmd, &format!("epmd -port {epmd_port} "), &disk);
    }
}

/// Whether anything listens on a port of 127.0.0.1.
fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, PROBE_TIMEOUT).is_ok()
}

/// Whether a broker on this port answers the protocol header with the first frame of AMQP 0-9-1, which is of type 1.
fn speaks_amqp(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let answer = TcpStream::connect_timeout(&address, PROBE_TIMEOUT).and_then(|mut stream| {
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    });
    answer.is_ok_and(|first| first == 1)
}
