//! A private PostgreSQL server: its own data folder, a port of its own on 127.0.0.1, a Unix socket where one is wanted.
//!
//! Every method blocks: from asynchronous code call them through `spawn_blocking`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use daemon::sync::locked;
use nix::sys::signal::Signal;
use secrecy::SecretString;

use super::account::Account;
use super::database::{Database, DatabaseUsers, SUPERUSER, password_of};
use super::error::ServerError;
use super::files;
use super::ports;
use super::process::{self, Cancel, ServerProcess};
use super::programs::{PostgresPrograms, ProgramSearch};

const NAME: &str = "PostgreSQL";
/// Whom the server of root may run as.
pub(crate) const USERS: &[&str] = &["postgres", "nobody"];
/// Loopback ports are taken by others now and then between the choice and the start.
const MAX_PORT_TRIES: usize = 3;

/// How a private PostgreSQL server is to be run.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Whether commits are flushed to the disk. Without, data still survives the death of the server, though not that
    /// of the machine, which is all that tests need.
    pub durable: bool,
    /// Connections that the server takes at once.
    pub max_connections: u32,
    /// A folder, which the server may write in, for a Unix socket beside the port.
    pub socket_folder: Option<PathBuf>,
    /// What exists on the server afterwards.
    pub database: Database,
    /// Whether each account has a random password, kept from start to start, in place of [`Database::password`].
    pub random_passwords: bool,
    /// Where the programs are looked for.
    pub programs: ProgramSearch,
    /// How long `initdb` and each start may take.
    pub start_timeout: Duration,
    /// How long a clean stop may take before it is ended by force.
    pub stop_timeout: Duration,
    /// Gives up a start in progress.
    pub cancel: Cancel,
}

impl PostgresOptions {
    /// Durable, 100 connections (PostgreSQL's own default), no Unix socket, the well-known password, 60 s to start, 20 s to
    /// stop.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            durable: true,
            max_connections: 100,
            socket_folder: None,
            database,
            random_passwords: false,
            programs: ProgramSearch::default(),
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(20),
            cancel: Cancel::default(),
        }
    }
}

/// A private PostgreSQL server; stopped when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    home: PathBuf,
    port: u16,
    account: Account,
    users: DatabaseUsers,
    programs: PostgresPrograms,
    options: PostgresOptions,
    process: Mutex<Option<ServerProcess>>,
}

impl PostgresServer {
    /// Starts a server with its files in `home`, which is created and filled at the first start; the port of the last
    /// start is kept where it is free still. What [`PostgresOptions::database`] names exists afterwards.
    ///
    /// # Errors
    /// A program is not installed, a file cannot be written, or the server does not come up in time.
    pub fn start(home: &Path, options: PostgresOptions) -> Result<Self, ServerError> {
        let programs = options.programs.postgres()?;
        super::account::claim_home(home, USERS)?;
        let account = Account::choose(NAME, &home.join("data"), USERS)?;
        let [port] = ports::kept_or_free_ports(&home.join("port"))?;
        let pgpass = files::read(&home.join("pgpass")).unwrap_or_default();
        let users = DatabaseUsers::new(options.database, options.random_passwords, &pgpass);
        let (home, process) = (home.to_path_buf(), Mutex::new(None));
        let mut server = Self { home, port, account, users, programs, options, process };
        server.initialise()?;
        server.launch_on_some_port()?;
        server.create_users_and_database()?;
        Ok(server)
    }

    /// Starts a standby with its files in `home`: a copy of a running `primary`, which it follows from then on. What
    /// was in `home` before is replaced, the port is kept. It becomes a primary with `select pg_promote()`.
    ///
    /// # Errors
    /// A program is not installed, a file cannot be written, the primary does not answer, or the server does not come
    /// up in time.
    pub fn start_standby(home: &Path, primary: &Self, options: PostgresOptions) -> Result<Self, ServerError> {
        let programs = options.programs.postgres()?;
        super::account::claim_home(home, USERS)?;
        let account = Account::choose(NAME, &home.join("data"), USERS)?;
        let [port] = ports::kept_or_free_ports(&home.join("port"))?;
        // The users are the primary's, so are their passwords.
        let users = primary.users.clone();
        let (home, process) = (home.to_path_buf(), Mutex::new(None));
        let mut server = Self { home, port, account, users, programs, options, process };
        server.copy(primary)?;
        server.launch_on_some_port()?;
        Ok(server)
    }

    /// Makes this server a standby of another one: what it has is replaced by a copy of that one's data.
    ///
    /// # Errors
    /// As [`Self::start_standby`].
    pub fn follow(&self, primary: &Self) -> Result<(), ServerError> {
        self.stop();
        self.copy(primary)?;
        self.restart()
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account of this name with its password; the owner's where the database has no such account.
    pub fn account(&self, user: &str) -> (&'static str, &SecretString) {
        self.users.account(user)
    }

    /// A file with the passwords of the server's users, as `PGPASSFILE` wants it; for its owner only.
    pub fn password_file(&self) -> PathBuf {
        self.home.join("pgpass")
    }

    /// Whether the server's main process runs.
    pub fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(ServerProcess::is_running)
    }

    /// Stops it cleanly and fast: connections are cut, open transactions rolled back.
    pub fn stop(&self) {
        if let Some(process) = self.process().take() {
            process.stop(Signal::SIGINT, self.options.stop_timeout, &self.options.cancel);
        }
    }

    /// Kills every process of it at once (SIGKILL), as a crash would; [`Self::restart`] recovers it.
    pub fn kill(&self) {
        drop(self.process().take());
    }

    /// Freezes every process of it (SIGSTOP): connections stay open, and nothing answers any more.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.process().as_ref().ok_or(ServerError::NotRunning { server: NAME })?.pause()
    }

    /// Goes on after [`Self::pause`].
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.process().as_ref().ok_or(ServerError::NotRunning { server: NAME })?.resume()
    }

    /// Stops it where it still runs, and starts it again on the same port with the same data.
    ///
    /// # Errors
    /// It does not come up in time, because its port was taken meanwhile, say.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.stop();
        let process = self.launch()?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Creates an empty database that belongs to [`Database::owner`].
    ///
    /// # Errors
    /// The name is unusable or taken, or the server does not answer.
    pub fn create_database(&self, name: &str) -> Result<(), ServerError> {
        self.create_database_from(name, "template0")
    }

    /// Creates a database that belongs to [`Database::owner`], as a copy of another one that nobody is connected to.
    ///
    /// # Errors
    /// A name is unusable or taken, somebody is connected to the template, or the server does not answer.
    pub fn create_database_from(&self, name: &str, template: &str) -> Result<(), ServerError> {
        let (name, template) = (database_name(name)?, database_name(template)?);
        let owner = self.options.database.owner;
        let sql = format!("CREATE DATABASE {name} OWNER {owner} ENCODING 'UTF8' TEMPLATE {template}");
        self.execute("create a database", &sql)
    }

    /// Drops a database, cutting the connections to it.
    ///
    /// # Errors
    /// The name is unusable or the server does not answer.
    pub fn drop_database(&self, name: &str) -> Result<(), ServerError> {
        let name = database_name(name)?;
        self.execute("drop a database", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    }

    /// Runs SQL as the superuser in the database `postgres`; returns what `psql` prints, without its frame.
    ///
    /// # Errors
    /// The server does not answer, or refuses it.
    pub fn query(&self, sql: &str) -> Result<String, ServerError> {
        self.psql("query the server", sql)
    }

    fn process(&self) -> MutexGuard<'_, Option<ServerProcess>> {
        locked(&self.process)
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// A command of the installation, with nothing of our environment that could steer it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", &self.options.programs.path).env("LC_ALL", "C.UTF-8");
        command.current_dir(&self.home).stdin(Stdio::null());
        command
    }

    /// Makes the data folder where there is none: under another name first, so that a half-made one is never used.
    fn initialise(&self) -> Result<(), ServerError> {
        if self.data().join("PG_VERSION").is_file() {
            return Ok(());
        }
        let fresh = self.home.join("data.new");
        if fresh.exists() {
            std::fs::remove_dir_all(&fresh).map_err(ServerError::io("remove", &fresh))?;
        }
        self.account.create_dir(&fresh)?;
        let superuser_password = files::random_word();
        let password_file = self.home.join("superuser");
        self.account.write(&password_file, &superuser_password)?;
        self.write_password_file(&superuser_password)?;
        let mut command = self.command(&self.programs.initdb);
        command.arg("-D").arg(&fresh).args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        command.args(["--auth=scram-sha-256", "--no-instructions", "--pwfile"]).arg(&password_file);
        let log = self.home.join("initdb.log");
        let mut initdb = ServerProcess::spawn("initdb", command, self.account, &log)?;
        initdb.wait_success(self.options.start_timeout, &self.options.cancel)?;
        let _ = std::fs::remove_file(&password_file);
        std::fs::rename(&fresh, self.data()).map_err(ServerError::io("rename", &fresh))
    }

    fn write_password_file(&self, superuser_password: &str) -> Result<(), ServerError> {
        files::write(&self.password_file(), &self.users.pgpass(superuser_password), None)
    }

    /// Replaces the data folder by a copy of a running server's, and has it follow that server.
    fn copy(&self, primary: &Self) -> Result<(), ServerError> {
        end_left_behind(&self.home)?;
        if self.data().exists() {
            std::fs::remove_dir_all(self.data()).map_err(ServerError::io("remove", &self.data()))?;
        }
        self.account.create_dir(&self.data())?;
        let passwords = primary.password_file();
        let unreadable =
            || ServerError::io("read", &passwords)(std::io::Error::other("it is missing, or no file"));
        let pgpass = files::read(&passwords).ok_or_else(unreadable)?;
        files::write(&self.password_file(), &pgpass, None)?;
        // The server reads it as well, as whoever it runs as.
        let own_passwords = self.home.join("replication");
        self.account.write(&own_passwords, &pgpass)?;
        let mut command = self.command(&self.programs.postgres.with_file_name("pg_basebackup"));
        command.env("PGPASSFILE", &own_passwords).arg("--pgdata").arg(self.data());
        command.args(["--host=127.0.0.1", "--username", SUPERUSER, "--port", &primary.port.to_string()]);
        command.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--no-password"]);
        let log = self.home.join("pg_basebackup.log");
        let mut backup = ServerProcess::spawn("pg_basebackup", command, self.account, &log)?;
        backup.wait_success(self.options.start_timeout, &self.options.cancel)
    }

    /// The first launch: a port that was taken between choosing and using it is replaced.
    fn launch_on_some_port(&mut self) -> Result<(), ServerError> {
        let mut tries = 1;
        let process = loop {
            match self.launch() {
                Err(ServerError::ServerFailed { tail, .. })
                    if tail.contains("Address already in use") && tries < MAX_PORT_TRIES =>
                {
                    tries += 1;
                    [self.port] = ports::free_ports()?;
                }
                result => break result?,
            }
        };
        *self.process() = Some(process);
        ports::keep_ports(&self.home.join("port"), &[self.port])
    }

    fn launch(&self) -> Result<ServerProcess, ServerError> {
        end_left_behind(&self.home)?;
        let mut command = self.command(&self.programs.postgres);
        command.arg("-D").arg(self.data());
        let sockets = self.options.socket_folder.as_deref().unwrap_or(Path::new("")).display();
        let durable = if self.options.durable { "on" } else { "off" };
        let settings = [
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={sockets}"),
            format!("max_connections={}", self.options.max_connections),
            format!("fsync={durable}"),
            format!("full_page_writes={durable}"),
            "shared_buffers=64MB".to_owned(),
            // Not in /dev/shm: systemd-logind clears that of a user who logs out, and the server with it.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "log_line_prefix=%m [%p] %d ".to_owned(),
        ];
        settings.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        let log = self.home.join("postgres.log");
        let process = ServerProcess::spawn(NAME, command, self.account, &log)?;
        let pid = process.pid().to_string();
        let ready = || postmaster_lines(&self.data()).is_some_and(|(owner, ready)| owner == pid && ready);
        process.wait_until(self.options.start_timeout, &self.options.cancel, ready)?;
        Ok(process)
    }

    fn create_users_and_database(&self) -> Result<(), ServerError> {
        let passwords = files::read(&self.password_file()).unwrap_or_default();
        let are_kept = self.users.are_in(&passwords);
        self.execute("create the users and the database", &self.users.creation(are_kept))?;
        let superuser_password = password_of(SUPERUSER, &passwords).filter(|_| !are_kept);
        superuser_password.map_or(Ok(()), |superuser_password| self.write_password_file(&superuser_password))
    }

    /// Runs SQL as the superuser; what it returns is dropped.
    fn execute(&self, task: &str, sql: &str) -> Result<(), ServerError> {
        self.psql(task, sql).map(drop)
    }

    /// Runs SQL as the superuser through `psql`, and returns what that prints.
    fn psql(&self, task: &str, sql: &str) -> Result<String, ServerError> {
        use std::io::Write;
        let mut command = self.command(&self.programs.psql);
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            SUPERUSER,
            "-d",
            "postgres",
        ]);
        command.args(["-p", &self.port.to_string()]).env("PGPASSFILE", self.password_file());
        command.env("PGCONNECT_TIMEOUT", "10").env("PGOPTIONS", "-c statement_timeout=30s");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = command.spawn().map_err(ServerError::io("start", &self.programs.psql))?;
        if let Some(mut input) = psql.stdin.take() {
            // If psql ended already, what it says about that is worth more than the broken pipe.
            let _ = input.write_all(sql.as_bytes());
        }
        let Output { status, stdout, stderr } =
            psql.wait_with_output().map_err(ServerError::io("wait for", &self.programs.psql))?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).trim().to_owned());
        }
        let output = String::from_utf8_lossy(&stderr).trim().to_owned();
        Err(ServerError::ProgramFailed { program: "psql", task: task.to_owned(), output })
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The process id in a data folder's `postmaster.pid`, and whether it says that the server takes connections: `pg_ctl`
/// looks at the same line.
fn postmaster_lines(data: &Path) -> Option<(String, bool)> {
    let text = files::read(&data.join("postmaster.pid"))?;
    let mut lines = text.lines();
    let pid = lines.next()?.trim().to_owned();
    Some((pid, lines.nth(6).is_some_and(|status| status.trim() == "ready")))
}

/// Ends a server that an earlier run left behind in `home` and removes its lock file, which would otherwise stop the
/// next start if its process id is in use again.
pub(crate) fn end_left_behind(home: &Path) -> Result<(), ServerError> {
    let data = home.join("data");
    if data.is_symlink() {
        return Err(ServerError::LinkedState { path: data });
    }
    let Some((pid, _)) = postmaster_lines(&data) else { return Ok(()) };
    if let Ok(pid) = pid.parse() {
        process::end_left_behind(pid, &data.to_string_lossy(), &data);
    }
    let lock = data.join("postmaster.pid");
    match std::fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ServerError::io("remove", &lock)(error))
        }
        _ => Ok(()),
    }
}

/// Accepts names that need no quoting in SQL.
fn database_name(name: &str) -> Result<&str, ServerError> {
    let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins_well && name.len() <= 63 && name.chars().all(usual) {
        return Ok(name);
    }
    Err(ServerError::BadDatabaseName { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names_that_would_need_quoting_are_refused() {
        for good in ["test_1", "a", "library_db"] {
            assert_eq!(database_name(good).unwrap(), good);
        }
        let long = "a".repeat(64);
        for bad in ["", "1a", "_a", "A", "a-b", "a b", "a\"; DROP DATABASE b", "ä", &long] {
            assert!(database_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_counts_as_ready_once_its_lock_file_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(postmaster_lines(dir.path()), None);
        let lock = dir.path().join("postmaster.pid");
        let lines = "4711\n/data\n1795360000\n5432\n\n127.0.0.1\n  5432001  98304\n";
        for (status, ready) in [("", false), ("starting\n", false), ("ready   \n", true)] {
            std::fs::write(&lock, format!("{lines}{status}")).unwrap();
            assert_eq!(postmaster_lines(dir.path()), Some(("4711".to_owned(), ready)), "{status}");
        }
    }
}
