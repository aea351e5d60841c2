//! A private PgBouncer in front of the tests' PostgreSQL.

use super::env::{ACCOUNTS, TestEnv};
use super::role::Role;
use super::shared::new_state_dir;
use super::wait::eventually;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A running PgBouncer; killed when dropped.
pub struct PgBouncer {
    _process: Role,
    _dir: TempDir,
}

impl PgBouncer {
    /// Starts one on this port of 127.0.0.1 with these settings, `pool_mode` among them, and waits until it listens.
    pub async fn start(env: &TestEnv, port: u16, more: &str) -> Self {
        let dir = new_state_dir();
        let users = dir.path().join("users.txt");
        let accounts = ACCOUNTS.iter().map(|(_, account)| *account).chain(["restaurant_user"]);
        let list: String = accounts.map(|account| format!("\"{account}\" \"restaurant_pass\"\n")).collect();
        std::fs::write(&users, list).unwrap();
        let settings = dir.path().join("pgbouncer.ini");
        let postgres = env.servers.postgres.port();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={postgres}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             {more}\n",
            users.display()
        );
        std::fs::write(&settings, text).unwrap();
        let mut command = Command::new(program());
        if nix::unistd::geteuid().is_root() {
            command.args(["--user", "nobody"]);
        }
        command.arg(&settings);
        let process = Role::spawn("pgbouncer", command);
        eventually("PgBouncer listens", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Self { _process: process, _dir: dir }
    }
}

/// Debian has it where only root's `PATH` leads.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|dir| dir.join("pgbouncer")).find(|program| program.is_file());
    found.unwrap_or_else(|| Path::new("/usr/sbin/pgbouncer").to_path_buf())
}
