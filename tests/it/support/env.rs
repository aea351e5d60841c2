//! A test's own environment: database, virtual host, configuration file, and the roles started in it.

use super::db::{OWNER, connect};
use super::management::Management;
use super::role::Role;
use super::shared::{
    TEMPLATE, config_text, create_template, migrate, new_state_dir, program, servers_options, shared_servers,
};
use super::wait::blocking;
use amqp::BrokerOptions;
use private_servers::{Servers, ServersOptions};
use restaurant_system::broker::Part;
use restaurant_system::store::{DatabaseOptions, Store, StoreAccess, StoreOptions};
use settings::HostPort;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The staff token that every environment's configuration names the file of.
pub const STAFF_TOKEN: &str = "test-staff-token-0123456789abcdef";

/// The database account of each role, in the role's group: they are on every server that the tests start.
pub const ACCOUNTS: [(&str, &str); 3] = [
    ("order-service", "restaurant_order_service"),
    ("tracking-service", "restaurant_tracking_service"),
    ("kitchen-worker", "restaurant_kitchen_worker"),
];

/// One test's environment. Dropping it drops database and virtual host, or the servers where they are its own.
pub struct TestEnv {
    /// The servers: shared with other tests, or of this test alone. Their methods block: see [`super::blocking`].
    pub servers: Arc<Servers>,
    /// The database of this test.
    pub database: String,
    /// The virtual host of this test.
    pub vhost: String,
    /// The broker's HTTP API, for this test's virtual host.
    pub rabbit: Management,
    owns_servers: bool,
    /// Roles log in with accounts of their own. On an empty database they would wait for `migrate`.
    own_accounts: bool,
    dir: TempDir,
    /// The servers' folder where they are this test's own; removed after they were stopped.
    _state: Option<TempDir>,
}

impl TestEnv {
    /// An environment on the shared servers, its database with the migrations applied.
    pub async fn new() -> Self {
        Self::on_shared_servers(Some(TEMPLATE)).await
    }

    /// An environment on the shared servers with an empty database, on which no migration ran.
    pub async fn unmigrated() -> Self {
        Self::on_shared_servers(None).await
    }

    async fn on_shared_servers(template: Option<&'static str>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let servers = shared_servers().await;
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let postgres = Arc::clone(&servers);
        let database = name.clone();
        blocking(move || match template {
            Some(template) => postgres.postgres.create_database_from(&database, template),
            None => postgres.postgres.create_database(&database),
        })
        .await
        .expect("the test's database is created");
        let rabbit = Management::new(&servers.rabbitmq, &name);
        rabbit.create_vhost().await;
        let mut env = Self::assemble(servers, name.clone(), name, rabbit, None);
        env.own_accounts = template.is_some();
        env
    }

    /// An environment with servers of its own, for tests that stop, kill, freeze, restart or wipe them. It takes some
    /// 10 s to make: put what one pair of servers can show into one test.
    pub async fn with_own_servers() -> Self {
        Self::with_own_servers_of(servers_options()).await
    }

    /// [`Self::with_own_servers`], with other options.
    pub async fn with_own_servers_of(options: ServersOptions) -> Self {
        let state = new_state_dir();
        let path = state.path().to_path_buf();
        let servers = blocking(move || {
            let servers = Servers::start(&path, options).expect("own servers start");
            create_template(&servers);
            servers.postgres.create_database_from("test", TEMPLATE).expect("the test's database is created");
            Arc::new(servers)
        })
        .await;
        let rabbit = Management::new(&servers.rabbitmq, "/");
        Self::assemble(servers, "test".to_owned(), "/".to_owned(), rabbit, Some(state))
    }

    fn assemble(
        servers: Arc<Servers>,
        database: String,
        vhost: String,
        rabbit: Management,
        state: Option<TempDir>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("staff-token"), STAFF_TOKEN).unwrap();
        let owns_servers = state.is_some();
        let env =
            Self { servers, database, vhost, rabbit, owns_servers, own_accounts: true, dir, _state: state };
        env.write_config("");
        env
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.yaml")
    }

    /// A folder of this test's own.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the configuration file anew, with `more` YAML at its end.
    pub fn write_config(&self, more: &str) {
        let text = config_text(&self.servers, &self.database, &self.vhost);
        let token_file = self.dir.path().join("staff-token");
        let text = format!("{text}staff:\n  token_file: {}\n{more}", token_file.display());
        std::fs::write(self.config(), text).unwrap();
    }

    /// Changes the configuration file; an edit that changes nothing has not found what it is for.
    pub fn edit_config(&self, edit: impl FnOnce(&str) -> String) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        let edited = edit(&text);
        assert_ne!(edited, text, "nothing was changed");
        std::fs::write(self.config(), edited).unwrap();
    }

    /// Applies the migrations to this test's database.
    pub async fn migrate(&self) {
        let config = self.config();
        blocking(move || migrate(&config)).await;
    }

    /// Has roles log in with accounts of their own, or all with that of the database's owner.
    pub fn use_own_accounts(&mut self, own_accounts: bool) {
        self.own_accounts = own_accounts;
    }

    /// Starts a role; `--config` and `--log-format json` are added. HTTP roles want `--port 0`. It logs in with an account of
    /// its own, unless the configuration names another than the owner's.
    pub fn spawn(&self, args: &[&str]) -> Role {
        self.spawn_with(args, &[])
    }

    /// The same, with these variables.
    pub fn spawn_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Role {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        let config = std::fs::read_to_string(self.config()).unwrap_or_default();
        let own = self.own_accounts && config.contains("user: restaurant_user\n");
        if let Some((_, account)) = ACCOUNTS.iter().find(|(role, _)| own && *role == args[0]) {
            command.env("RESTAURANT_DATABASE_USER", account);
        }
        command.arg("--config").arg(self.config()).args(["--log-format", "json"]);
        Role::spawn(&args.join(" "), command)
    }

    /// Runs the program with exactly these arguments in this test's folder, until it ends.
    pub async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        blocking(move || command.stdin(Stdio::null()).output().expect("the program starts")).await
    }

    /// The program with these arguments, in this test's folder, with no `RESTAURANT_…` of the caller's environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RESTAURANT_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// A connection to this test's database.
    pub async fn connect(&self) -> tokio_postgres::Client {
        connect(self.servers.postgres.port(), &self.database, OWNER).await
    }

    /// For this test's virtual host, of the part of an operator.
    pub fn broker_options(&self) -> BrokerOptions {
        BrokerOptions {
            hosts: vec![("127.0.0.1".to_owned(), self.servers.rabbitmq.amqp_port())],
            vhost: self.vhost.clone(),
            ..Part::Operator.options()
        }
    }

    /// The program's own store, on this test's database.
    pub async fn store(&self, operation_timeout: Duration) -> Store {
        let mut options = store_options(self.servers.postgres.port(), &self.database);
        options.server.operation_timeout = operation_timeout;
        let store = Store::new(options, CancellationToken::new()).unwrap();
        store.prepare().await.unwrap();
        store
    }
}

/// How to reach a database of a private server that tests have started.
pub fn store_options(port: u16, database: &str) -> StoreOptions {
    StoreOptions {
        server: DatabaseOptions {
            hosts: vec![HostPort { host: "127.0.0.1".to_owned(), port }],
            user: "restaurant_user".to_owned(),
            password: "restaurant_pass".into(),
            database: database.to_owned(),
            tls: None,
            pool_size: 6,
            operation_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(30),
        },
        application_name: "test".to_owned(),
        idle_timeout: Duration::from_secs(600),
        probe_interval: None,
        writes: true,
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if self.owns_servers {
            // Nothing of theirs is kept, so there is no need to wait for a clean stop.
            self.servers.postgres.kill();
            self.servers.rabbitmq.kill();
            return;
        }
        let (servers, database, rabbit) =
            (Arc::clone(&self.servers), self.database.clone(), self.rabbit.clone());
        // Not waited for: whatever is left goes with the servers.
        std::thread::spawn(move || {
            rabbit.delete_vhost();
            let _ = servers.postgres.drop_database(&database);
        });
    }
}
