//! The log as the journal gets it: a role that finds a socket of this test where journald listens.
//!
//! Whose tests may make no mount namespace (`unshare`), as in some containers, has no such place: nothing is tested then.

use crate::support::{DEADLINE, Http, Role, Signal, TestEnv, eventually, free_port, takeout};
use nix::unistd::geteuid;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Gives the program a `/run` of its own, with the socket `$1` where journald would listen.
const WITH_JOURNAL: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
    touch /run/systemd/journal/socket && mount --bind \"$1\" /run/systemd/journal/socket && shift && exec \"$@\"";

/// A command in a mount namespace that ends with it; in a user namespace, too, for who may not mount otherwise.
fn in_namespace() -> Command {
    let mut command = Command::new("unshare");
    let options: &[&str] = if geteuid().is_root() { &["--mount"] } else { &["--mount", "--map-root-user"] };
    command.args(options);
    command
}

/// What journald is to a role: a socket. This one takes as many entries unread as the system lets it, ten or some hundred.
struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// The fields of an entry, which may have a name twice.
struct Entry(Vec<(String, String)>);

impl Entry {
    /// Of a datagram in the journal's native protocol: `NAME=value`, or the name, the value's length and the value.
    fn parse(datagram: &[u8]) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut fields = Vec::new();
        let mut rest = datagram;
        while !rest.is_empty() {
            let line_end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let (line, after) = (text(&rest[..line_end]), &rest[line_end + 1..]);
            if let Some((name, value)) = line.split_once('=') {
                fields.push((name.to_owned(), value.to_owned()));
                rest = after;
            } else {
                let (length, after) = after.split_at(8);
                let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
                fields.push((line, text(&after[..length])));
                assert_eq!(after[length], b'\n');
                rest = &after[length + 1..];
            }
        }
        Self(fields)
    }

    /// The value of a field that must be there once.
    fn value(&self, name: &str) -> &str {
        let Self(fields) = self;
        let values: Vec<&str> =
            fields.iter().filter(|(other, _)| other == name).map(|(_, value)| &**value).collect();
        let [value] = values[..] else { panic!("{name} is there {} times in {fields:?}", values.len()) };
        value
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }
}

impl Journal {
    /// `None`: there can't be any here.
    fn new(folder: &Path) -> Option<Self> {
        let path = folder.join("journal");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let tried = in_namespace().args(["sh", "-c", WITH_JOURNAL, "sh"]).arg(&path).arg("true").output();
        tried.is_ok_and(|output| output.status.success()).then_some(Self { socket, path })
    }

    /// The command, with this journal for it alone.
    fn before(&self, command: &Command) -> Command {
        let mut wrapped = in_namespace();
        wrapped.args(["sh", "-c", WITH_JOURNAL, "sh"]).arg(&self.path).arg(command.get_program());
        wrapped.args(command.get_args());
        wrapped.current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }

    /// Starts a role that logs there.
    fn spawn(&self, env: &TestEnv, args: &[&str]) -> Role {
        self.spawn_with(env, env.command(args))
    }

    fn spawn_with(&self, env: &TestEnv, mut command: Command) -> Role {
        command.args(["--log-format", "journald", "--log-level", "debug", "--config"]).arg(env.config());
        Role::spawn("a role with a journal", self.before(&command))
    }

    /// The next entry. The empty datagrams, with which a role asks whether somebody is there, are none.
    fn next(&self) -> Entry {
        let mut datagram = vec![0; 256 * 1024];
        loop {
            let length = self.socket.recv(&mut datagram).expect("an entry in time");
            if length > 0 {
                return Entry::parse(&datagram[..length]);
            }
        }
    }

    /// The next entry with this action.
    fn next_of(&self, action: &str) -> Entry {
        loop {
            let entry = self.next();
            if entry.value("ACTION") == action {
                return entry;
            }
        }
    }
}

#[tokio::test]
async fn an_order_is_told_in_fields_with_priority_identifier_and_service() {
    let env = TestEnv::new().await;
    let Some(journal) = Journal::new(env.dir()) else { return };
    let port = free_port().to_string();
    let mut service = journal.spawn(&env, &["order-service", "--port", &port]);
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    let started = journal.next_of("service_started");
    assert!(!started.value("REQUEST_ID").is_empty() && !started.has("ORDER_NUMBER"));
    http.wait_ready().await;
    let number = http.place_with(&takeout(), &[("x-request-id", "story-1")]).await;
    let received = journal.next_of("order_received");
    for (name, expected) in [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "order-service"),
        ("SERVICE", "order-service"),
        ("REQUEST_ID", "story-1"),
        ("ORDER_NUMBER", number.as_str()),
    ] {
        assert_eq!(received.value(name), expected, "{name}");
    }
    assert!(!received.value("MESSAGE").is_empty());
    assert!(received.value("CODE_FILE").starts_with("src/") && received.has("CODE_LINE"));
    assert!(received.value("TARGET").starts_with("restaurant_system::"));
    service.signal(Signal::SIGTERM);
    assert_eq!(service.wait_exit().await.code(), Some(0));
    journal.next_of("service_stopped");
    assert_eq!(service.output(), [""; 0], "all of it goes to the journal");
}

#[tokio::test]
async fn an_error_is_told_in_fields_of_its_own() {
    let env = TestEnv::new().await;
    let Some(journal) = Journal::new(env.dir()) else { return };
    let mut command = env.command(&["tracking-service", "--port", "0"]);
    command.env("RESTAURANT_DATABASE_PORT", free_port().to_string());
    let _service = journal.spawn_with(&env, command);
    let failed = journal.next_of("db_connection_failed");
    assert_eq!((failed.value("PRIORITY"), failed.value("SERVICE")), ("3", "tracking-service"));
    assert!(failed.value("ERROR_MSG").len() > 1 && failed.value("ERROR_TYPE").len() > 1);
    assert!(failed.value("ERROR_STACK").starts_with(failed.value("ERROR_MSG")));
}

#[tokio::test]
async fn roles_whose_journal_nobody_reads_take_and_cook_orders_and_end_when_asked() {
    let env = TestEnv::new().await;
    let Some(journal) = Journal::new(env.dir()) else { return };
    env.write_config("kitchen: {grace_seconds: 0.2}\n");
    let port = free_port().to_string();
    let mut service = journal.spawn(&env, &["order-service", "--port", &port]);
    let cook = ["kitchen-worker", "--worker-name", "chef_anna", "--cook-seconds", "0", "--prefetch", "20"];
    let mut chef = journal.spawn(&env, &cook);
    let http = Http::new(format!("http://127.0.0.1:{port}"));
    http.wait_ready().await;
    // The first hundred fill the journal's queue, the others meet it full.
    let takeout = takeout();
    for _ in 0..20 {
        futures_util::future::join_all((0..10).map(|_| http.place(&takeout))).await;
    }
    let db = env.connect().await;
    eventually("all orders are ready", || async {
        let sql = "select count(*) from orders where status = 'ready'";
        db.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 200
    })
    .await;
    http.wait_ready().await;
    let is_full = UnixDatagram::unbound().unwrap();
    is_full.set_nonblocking(true).unwrap();
    assert!(is_full.send_to(b"", &journal.path).is_err(), "too little was logged to fill the journal");
    for role in [&mut service, &mut chef] {
        role.signal(Signal::SIGTERM);
        assert_eq!(role.wait_exit().await.code(), Some(0));
    }
}
