//! The PostgreSQL and RabbitMQ that all tests of this process share, and the migrated database they copy.

use super::wait::blocking;
use private_servers::{Servers, ServersOptions, ports, watch};
use restaurant_system::dev;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// Copied for each test, with the migrations applied.
pub const TEMPLATE: &str = "restaurant_template";

/// The shared servers, started by the first test that asks. A static is never dropped: the watcher ends them and
/// removes their folder when this process ends.
pub async fn shared_servers() -> Arc<Servers> {
    static SERVERS: OnceLock<Arc<Servers>> = OnceLock::new();
    blocking(|| {
        let start = || {
            let dir = new_state_dir().keep();
            watch::remove_at_end(&dir).unwrap();
            let servers = Servers::start(&dir, servers_options()).expect("the shared servers start");
            create_template(&servers);
            Arc::new(servers)
        };
        Arc::clone(SERVERS.get_or_init(start))
    })
    .await
}

/// The servers as tests want them: nothing is flushed to the disk.
pub fn servers_options() -> ServersOptions {
    dev::servers_options().for_tests()
}

/// A temporary folder that the servers' users can pass through when the tests run as root.
pub fn new_state_dir() -> TempDir {
    let dir = tempfile::Builder::new().prefix("restaurant-test-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

/// A free port of 127.0.0.1, for what cannot choose one itself.
pub fn free_port() -> u16 {
    let [port] = ports::free_ports().unwrap();
    port
}

/// Creates the database [`TEMPLATE`] and has the program apply its migrations to it.
pub fn create_template(servers: &Servers) {
    servers.postgres.create_database(TEMPLATE).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, config_text(servers, TEMPLATE, "/")).unwrap();
    migrate(&config);
}

/// Runs `restaurant-system migrate`, which must succeed.
pub fn migrate(config: &Path) {
    let output = Command::new(program())
        .args(["migrate", "--log-format", "json", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "migrate: {}: {}", output.status, String::from_utf8_lossy(&text));
}

/// The program under test.
pub fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_restaurant-system"))
}

/// A configuration file for one database and one virtual host of these servers.
pub fn config_text(servers: &Servers, database: &str, vhost: &str) -> String {
    let (postgres, rabbitmq) = (servers.postgres.port(), servers.rabbitmq.amqp_port());
    format!(
        "database:\n  host: 127.0.0.1\n  port: {postgres}\n  user: restaurant_user\n  password: restaurant_pass\n  \
         database: {database}\nrabbitmq:\n  host: 127.0.0.1\n  port: {rabbitmq}\n  user: guest\n  password: guest\n  \
         vhost: \"{vhost}\"\n"
    )
}
