//! The deployment that is measured: durable private servers, and roles of the release build.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use private_servers::{Servers, watch};
use restaurant_system::dev;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything here may take to come up or to happen.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often it is looked; more often would be a load by itself.
const POLL: Duration = Duration::from_millis(100);
/// As many as PostgreSQL keeps, which it uses again and again: it may need them all from one checkpoint to the next.
const WAL_FILES: usize = 256;
const WAL_FILE_MB: usize = 16;
/// The migrated database that each section's is a copy of.
const TEMPLATE: &str = "speed_template";

/// The two servers, as `dev` runs them: what is committed is flushed.
pub struct Deployment {
    pub servers: Servers,
    http: reqwest::Client,
    state: TempDir,
}

impl Deployment {
    pub async fn open() -> Result<Self> {
        let state = tempfile::Builder::new().prefix("restaurant-speed-").tempdir()?;
        // The servers of root run as other users.
        std::fs::set_permissions(state.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let servers = Servers::start(state.path(), dev::servers_options())?;
        servers.postgres.create_database(TEMPLATE)?;
        let deployment = Self { servers, http: reqwest::Client::new(), state };
        deployment.lay_in_wal_files().await?;
        deployment.migrate(TEMPLATE, Path::new(Self::program()))?;
        Ok(deployment)
    }

    /// The build that is measured.
    pub fn program() -> &'static str {
        env!("CARGO_BIN_EXE_restaurant-system")
    }

    /// Where the servers have their files.
    pub fn dir(&self) -> &Path {
        self.state.path()
    }

    fn migrate(&self, database: &str, program: &Path) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, self.config_text(database, "/"))?;
        let mut migrate = Command::new(program);
        let status = migrate.args(["migrate", "--config"]).arg(&config).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "the migrations failed: {status}");
        Ok(())
    }

    /// What a server has after a while: WAL files to be used again. A new one is filled with zeros first, and whoever
    /// commits waits for that, 30 to 150 ms, every second or two.
    async fn lay_in_wal_files(&self) -> Result<()> {
        let postgres = &self.servers.postgres;
        let passwords = std::fs::read_to_string(postgres.password_file())?;
        let password = passwords.lines().find_map(|line| line.split_once(":postgres:"));
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(postgres.port()).dbname("postgres").user("postgres");
        config.password(password.context("no password of the superuser")?.1);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        for setting in ["min_wal_size", "max_wal_size"] {
            let size_mb = WAL_FILES * WAL_FILE_MB;
            client.execute(&format!("alter system set {setting} = '{size_mb}MB'"), &[]).await?;
        }
        client.execute("select pg_reload_conf()", &[]).await?;
        for _ in 0..WAL_FILES {
            client.batch_execute("select pg_logical_emit_message(false, 'wal', ''), pg_switch_wal()").await?;
        }
        client.batch_execute("checkpoint").await?;
        Ok(())
    }

    /// A database and a virtual host for one section.
    pub async fn section(&self, name: &str) -> Result<Section<'_>> {
        self.servers.postgres.create_database_from(name, TEMPLATE)?;
        self.open_section(name, Path::new(Self::program())).await
    }

    /// The same for another build, whose schema may be another one.
    pub async fn section_of(&self, name: &str, program: &Path) -> Result<Section<'_>> {
        self.servers.postgres.create_database(name)?;
        self.migrate(name, program)?;
        self.open_section(name, program).await
    }

    async fn open_section(&self, name: &str, program: &Path) -> Result<Section<'_>> {
        let rights = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.broker_api(&format!("vhosts/{name}"), &json!({})).await?;
        self.broker_api(&format!("permissions/{name}/guest"), &rights).await?;
        // Messages on disk, not in a heap that is collected again and again: so they are by themselves since 3.12, and
        // a version that has no such choice any more may refuse it.
        let lazy = json!({"pattern": ".*", "apply-to": "queues", "definition": {"queue-mode": "lazy"}});
        let _ = self.broker_api(&format!("policies/{name}/on-disk"), &lazy).await;
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("config.yaml"), self.config_text(name, name))?;
        Ok(Section { deployment: self, name: name.to_owned(), program: program.to_owned(), dir })
    }

    /// Processor time that PostgreSQL with its backends, and RabbitMQ, have used, in seconds.
    pub fn processor_seconds(&self) -> Result<(f64, f64)> {
        let (mut postgres, mut rabbitmq) = (0.0, 0.0);
        let home = self.state.path().to_string_lossy().into_owned();
        let all: Vec<Stat> = std::fs::read_dir("/proc")?
            .filter_map(|entry| Stat::of(entry.ok()?.file_name().to_str()?.parse().ok()?).ok())
            .collect();
        for stat in &all {
            let ours = || std::fs::read_to_string(format!("/proc/{}/cmdline", stat.pid)).unwrap_or_default();
            match stat.name.as_str() {
                "beam.smp" if ours().contains(&home) => rabbitmq += stat.seconds,
                "postgres" if ours().contains(&home) => {
                    let backends = all.iter().filter(|other| other.parent == stat.pid);
                    postgres += stat.seconds + stat.ended_seconds + backends.map(|b| b.seconds).sum::<f64>();
                }
                _ => {}
            }
        }
        ensure!(postgres > 0.0 && rabbitmq > 0.0, "the servers' processes were not found in /proc");
        Ok((postgres, rabbitmq))
    }

    /// Both servers with their versions.
    pub async fn versions(&self) -> Result<String> {
        let section = self.section("versions").await?;
        let row = section.connect().await?.query_one("show server_version", &[]).await?;
        let port = self.servers.rabbitmq.management_port().context("RabbitMQ runs without management")?;
        let request = self.http.get(format!("http://127.0.0.1:{port}/api/overview"));
        let overview: Value = request.basic_auth("guest", Some("guest")).send().await?.json().await?;
        let rabbitmq = overview["rabbitmq_version"].as_str().unwrap_or("of an unknown version");
        Ok(format!("PostgreSQL {}, RabbitMQ {rabbitmq}", row.try_get::<_, &str>(0)?))
    }

    async fn broker_api(&self, path: &str, body: &Value) -> Result<()> {
        let port = self.servers.rabbitmq.management_port().context("RabbitMQ runs without management")?;
        let request = self.http.put(format!("http://127.0.0.1:{port}/api/{path}"));
        request.basic_auth("guest", Some("guest")).json(body).send().await?.error_for_status()?;
        Ok(())
    }

    fn config_text(&self, database: &str, vhost: &str) -> String {
        let (postgres, rabbitmq) = (self.servers.postgres.port(), self.servers.rabbitmq.amqp_port());
        format!(
            "database: {{host: 127.0.0.1, port: {postgres}, user: restaurant_user, password: restaurant_pass, \
             database: {database}}}\nrabbitmq: {{host: 127.0.0.1, port: {rabbitmq}, user: guest, password: guest, \
             vhost: {vhost:?}}}\n"
        )
    }
}

/// A database and a virtual host of their own, and the roles that work on them.
pub struct Section<'a> {
    pub deployment: &'a Deployment,
    pub name: String,
    program: PathBuf,
    dir: TempDir,
}

impl Section<'_> {
    /// Starts a role; its log goes to a file. HTTP roles listen on a port of their own choice.
    pub fn start(&self, args: &[&str]) -> Result<Role> {
        let log = self.dir.path().join(format!("{}.log", args.join("_").replace(['-', '.'], "_")));
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null()).args(args).arg("--config").arg(self.dir.path().join("config.yaml"));
        command.args(["--log-format", "json"]).stdout(File::create(&log)?).stderr(Stdio::inherit());
        let child = command.spawn()?;
        watch::guard(&[child.id()])?;
        Ok(Role { child, log })
    }

    /// Runs a command to its end.
    pub fn command(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--config").arg(self.dir.path().join("config.yaml"));
        let output = command.output()?;
        ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    pub async fn order_service(&self) -> Result<(Role, String)> {
        self.http_role(&["order-service", "--port", "0"]).await
    }

    pub async fn tracking_service(&self) -> Result<(Role, String)> {
        self.http_role(&["tracking-service", "--port", "0"]).await
    }

    async fn http_role(&self, args: &[&str]) -> Result<(Role, String)> {
        let role = self.start(args)?;
        let started = role.logged("service_started", |line| line["address"].is_string()).await?;
        let url = format!("http://{}", started["address"].as_str().unwrap_or_default());
        let http = reqwest::Client::new();
        until("a role to be ready", async || {
            Ok(http.get(format!("{url}/readyz")).send().await?.status().is_success())
        })
        .await?;
        Ok((role, url))
    }

    /// A worker that takes no time to cook, registered.
    pub async fn worker(&self, prefetch: u16) -> Result<Role> {
        let prefetch = prefetch.to_string();
        let args =
            ["kitchen-worker", "--worker-name", "chef", "--cook-seconds", "0", "--prefetch", &prefetch];
        let role = self.start(&args)?;
        role.logged("worker_registered", |_| true).await?;
        Ok(role)
    }

    pub async fn connect(&self) -> Result<tokio_postgres::Client> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.deployment.servers.postgres.port()).dbname(&self.name);
        let (client, connection) =
            config.user("restaurant_user").password("restaurant_pass").connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The one number that a query yields.
    pub async fn number(&self, sql: &str) -> Result<f64> {
        let row = self.connect().await?.query_one(&format!("select ({sql})::float8"), &[]).await?;
        Ok(row.try_get::<_, Option<f64>>(0)?.unwrap_or_default())
    }

    /// Waits until everything is announced.
    pub async fn announced(&self) -> Result<()> {
        let nothing_left = async || Ok(self.number("select count(*) from outbox").await? == 0.0);
        until("the outbox to be empty", nothing_left).await
    }

    /// The same, and has what the load has left written out: the kernel does that when a page is 30 s old, in somebody
    /// else's turn.
    pub async fn settle(&self) -> Result<()> {
        self.announced().await?;
        tokio::task::block_in_place(rustix::fs::sync);
        Ok(())
    }
}

/// A running role; killed when dropped.
pub struct Role {
    child: Child,
    log: PathBuf,
}

impl Role {
    /// Waits for a line of its log.
    async fn logged(&self, action: &str, matches: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut found = None;
        until(&format!("the log line {action} in {}", self.log.display()), async || {
            let text = std::fs::read_to_string(&self.log)?;
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            found = lines.find(|line| line["action"] == action && matches(line));
            Ok(found.is_some())
        })
        .await?;
        found.context("no such line")
    }

    /// What of its memory is resident, in MiB.
    pub fn resident_mib(&self) -> Result<f64> {
        let path = Path::new("/proc").join(self.child.id().to_string()).join("status");
        let status = std::fs::read_to_string(path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Processor time that it has used, in seconds.
    pub fn processor_seconds(&self) -> Result<f64> {
        Ok(Stat::of(self.child.id())?.seconds)
    }
}

/// What proc(5) says of a process.
struct Stat {
    pid: u32,
    parent: u32,
    name: String,
    /// Processor time that it has used.
    seconds: f64,
    /// The same of its children that have ended.
    ended_seconds: f64,
}

impl Stat {
    fn of(pid: u32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (head, tail) = text.rsplit_once(") ").context("no name in /proc")?;
        let name = head.split_once('(').context("no name in /proc")?.1.to_owned();
        let fields: Vec<f64> =
            tail.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        ensure!(fields.len() > 14, "/proc/{pid}/stat is short");
        // In hundredths of a second: utime and stime, cutime and cstime.
        let seconds = |at: usize| (fields[at] + fields[at + 1]) / 100.0;
        Ok(Self { pid, parent: fields[1] as u32, name, seconds: seconds(11), ended_seconds: seconds(13) })
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = watch::release(&[self.child.id()]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    loop {
        let outcome = condition().await;
        if matches!(outcome, Ok(true)) {
            return Ok(());
        }
        if began.elapsed() > DEADLINE {
            outcome?;
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(POLL).await;
    }
}
