//! `restaurant-system dev`: one command from nothing to an order that is ready, and back to nothing.

use crate::support::{
    Http, Role, Signal, answer, eventually, free_port, new_state_dir, processes_naming, program, takeout,
    with,
};
use restaurant_system::dev;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Servers and roles have to start, on a machine that runs other tests as well.
const START_TIMEOUT: Duration = Duration::from_secs(120);

struct Dev {
    role: Role,
    orders: Http,
    tracking: Http,
}

fn dev_command(state: &Path, ports: (u16, u16)) -> Command {
    let mut command = Command::new(program());
    command.args(["dev", "--cook-seconds", "0.1", "--log-format", "json", "--state-dir"]).arg(state);
    command.args(["--order-port", &ports.0.to_string(), "--tracking-port", &ports.1.to_string()]);
    command.args(["--gateway-port", &free_port().to_string()]);
    command
}

/// Starts `dev` and waits until it says that everything runs.
async fn start(state: &Path) -> Dev {
    start_with(state, &[]).await
}

async fn start_with(state: &Path, more: &[&str]) -> Dev {
    let ports = (free_port(), free_port());
    let mut command = dev_command(state, ports);
    command.args(more);
    let mut role = Role::spawn("dev", command);
    let deadline = Instant::now() + START_TIMEOUT;
    while !role.error_lines().iter().any(|line| line.contains("restaurant is open")) {
        assert!(role.is_running(), "dev ended: {:?}", role.output());
        assert!(Instant::now() < deadline, "dev is not up: {:?}", role.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Dev {
        role,
        orders: Http::new(format!("http://127.0.0.1:{}", ports.0)),
        tracking: Http::new(format!("http://127.0.0.1:{}", ports.1)),
    }
}

/// An order by the menu that `dev` has.
fn by_the_menu() -> Value {
    with(&takeout(), "/items", json!([{"menu_item_id": "margherita", "quantity": 1}]))
}

impl Dev {
    /// Ctrl-C.
    async fn stop(mut self) {
        self.role.signal(Signal::SIGINT);
        let status = self.role.wait_exit().await;
        assert_eq!(status.code(), Some(0), "{:?}", self.role.output());
    }
}

#[tokio::test]
async fn an_order_is_cooked_and_the_next_start_goes_on_with_the_kept_data() {
    let dir = new_state_dir();
    let state = dir.path().join("dev");
    let dev = start(&state).await;
    let first = dev.orders.place(&by_the_menu()).await;
    dev.tracking.wait_status(&first, "ready").await;
    let notified = format!("Notification for order {first}: Status changed from 'cooking' to 'ready'");
    dev.role.wait_for_line("of the subscriber", |line| line.starts_with(&notified)).await;

    let gateway = Http::new(gateway_of(&dev));
    let placed = gateway.request("POST", "/api/orders").json(&by_the_menu());
    let placed = answer(placed).await;
    assert_eq!(placed.status, 201, "through the gateway");
    let url = placed.json()["tracking_url"].as_str().unwrap().to_owned();
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200, "{url} leads to the customer's page");
    let accounts = accounts_of(&dev).await;
    for secret in [
        "config.yaml",
        "order-service.yaml",
        "notification-subscriber.yaml",
        "staff-token",
        "staff-accounts.yaml",
        "staff-passwords",
    ] {
        let mode = state.join(secret).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    assert_accounts_are_of_one_role_each(&state);
    assert_passwords_are_random_and_told_nowhere(&state, &dev.role);
    let mut second = Role::spawn("a second dev", dev_command(&state, (free_port(), free_port())));
    assert_eq!(second.wait_exit().await.code(), Some(1));
    assert!(second.error_lines().concat().contains("is in use by another running `dev`"));

    // A role that dies is started again, by its own name.
    let worker = worker_pid(&state, "chef_anna").expect("the worker runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    eventually("the worker runs again", || async {
        worker_pid(&state, "chef_anna").is_some_and(|pid| pid != worker)
    })
    .await;
    dev.stop().await;
    assert_eq!(processes_naming(dir.path()), Vec::<String>::new());

    let target = dir.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    if nix::unistd::geteuid().is_root() {
        plant_links(&state, &target);
    }
    let dev = start(&state).await;
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious", "no link was followed");
    assert_eq!(accounts_of(&dev).await, accounts, "passwords are kept");
    let next = dev.orders.place(&by_the_menu()).await;
    let number = |order: &str| order.rsplit('_').next().unwrap().parse::<u32>().unwrap();
    let same_day = next.rsplit_once('_').unwrap().0 == first.rsplit_once('_').unwrap().0;
    assert!(number(&next) == number(&first) + 2 || !same_day, "{first}, then {next}");
    dev.tracking.wait_status(&next, "ready").await;

    // Killed without a chance to clean up, it leaves nothing behind either.
    let mut role = dev.role;
    role.kill();
    eventually("all processes are gone", || async { processes_naming(dir.path()).is_empty() }).await;
}

/// The first address that `dev` prints.
fn gateway_of(dev: &Dev) -> String {
    let lines = dev.role.error_lines();
    let mut words =
        lines.iter().skip_while(|line| !line.contains("is open")).flat_map(|line| line.split(' '));
    words.find(|word| word.starts_with("http://")).unwrap().to_owned()
}

/// The passwords of the staff that `dev` has printed; all of them are right.
async fn accounts_of(dev: &Dev) -> Vec<String> {
    let mut printed = Vec::new();
    for account in ["anna (kitchen): ", "carla (counter): ", "max (manager): "] {
        let line = dev.role.error_lines().into_iter().find(|line| line.contains(account)).unwrap();
        let password = line.split(account).nth(1).unwrap().to_owned();
        let name = account.split(' ').next().unwrap();
        let body = format!("{{\"name\": \"{name}\", \"password\": \"{password}\"}}");
        let login =
            dev.orders.request("POST", "/sessions").header("content-type", "application/json").body(body);
        assert_eq!(answer(login).await.status, 201, "{account}");
        printed.push(password);
    }
    printed
}

/// Each role has a database account of its own, and a subscriber none.
fn assert_accounts_are_of_one_role_each(state: &Path) {
    for (config, expected) in [
        ("config", Some("restaurant_user")),
        ("order-service", Some("restaurant_order_service")),
        ("tracking-service", Some("restaurant_tracking_service")),
        ("kitchen-worker", Some("restaurant_kitchen_worker")),
        ("notification-subscriber", None),
    ] {
        let text = std::fs::read_to_string(state.join(config).with_extension("yaml")).unwrap();
        let database = text.split_once("database:").map(|(_, database)| database);
        let user =
            database.map(|text| text.lines().find_map(|line| line.trim().strip_prefix("user: ")).unwrap());
        assert_eq!(user, expected, "{config}");
    }
}

/// Those of the configurations are not the well-known ones, are for us alone, and were not printed.
fn assert_passwords_are_random_and_told_nowhere(state: &Path, dev: &Role) {
    let texts = ["config", "order-service", "tracking-service", "kitchen-worker"]
        .map(|config| std::fs::read_to_string(state.join(config).with_extension("yaml")).unwrap());
    let passwords = texts.iter().flat_map(|text| text.lines());
    let passwords: HashSet<&str> =
        passwords.filter_map(|line| line.trim().strip_prefix("password: ")).collect();
    assert_eq!(passwords.len(), 5, "one for each account in PostgreSQL, and RabbitMQ's");
    let output = dev.output().join("\n");
    for password in passwords {
        assert!(password.len() >= 32 && !output.contains(password), "{password}: {output}");
    }
    for file in ["postgres/pgpass", "rabbitmq/password"] {
        let mode = state.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// Has the servers' accounts plant links to `target` where root writes: they cannot now, and could in a folder of an
/// earlier version, which was theirs.
fn plant_links(state: &Path, target: &Path) {
    for (home, data, names) in [
        ("postgres", "data", vec!["postgres.log", "port", "pgpass.new"]),
        ("rabbitmq", "mnesia", vec!["rabbitmq.log", "epmd.log", "pids", "ports", "rabbitmq.new"]),
    ] {
        let home = state.join(home);
        let account = home.join(data).metadata().unwrap();
        assert_ne!(account.uid(), 0);
        for name in names {
            let mut link = Command::new("ln");
            link.arg("-sfT").arg(target).arg(home.join(name)).uid(account.uid()).gid(account.gid());
            assert!(!link.output().unwrap().status.success(), "{name} can be replaced");
            std::os::unix::fs::chown(&home, Some(account.uid()), Some(account.gid())).unwrap();
            assert!(link.output().unwrap().status.success(), "{name}");
            std::os::unix::fs::chown(&home, Some(0), Some(0)).unwrap();
        }
        std::os::unix::fs::chown(&home, Some(account.uid()), Some(account.gid())).unwrap();
    }
}

#[tokio::test]
async fn a_state_folder_that_is_not_ours_is_refused_with_what_to_do() {
    let dir = new_state_dir();
    let (real, link, open) = (dir.path().join("real"), dir.path().join("link"), dir.path().join("open"));
    std::fs::create_dir(&real).unwrap();
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut cases = vec![(&link, "is a symbolic link"), (&open, "others may write in")];
    let foreign = dir.path().join("foreign");
    if nix::unistd::geteuid().is_root() {
        std::fs::create_dir(&foreign).unwrap();
        std::os::unix::fs::chown(&foreign, Some(65534), Some(65534)).unwrap();
        cases.push((&foreign, "belongs to another user"));
    }
    for (state, expected) in cases {
        let mut dev = Role::spawn("dev", dev_command(state, (free_port(), free_port())));
        assert_eq!(dev.wait_exit().await.code(), Some(1), "{expected}");
        let text = dev.error_lines().concat();
        assert!(text.contains(expected) && text.contains("--state-dir"), "{text}");
        assert_eq!(std::fs::read_dir(state).unwrap().count(), 0, "{text}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag_before_anything_is_started() {
    let dir = new_state_dir();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut dev = Role::spawn("dev", dev_command(dir.path(), (free_port(), port)));
    assert_eq!(dev.wait_exit().await.code(), Some(1));
    let text = dev.error_lines().concat();
    assert!(text.contains(&port.to_string()) && text.contains("--tracking-port"), "{text}");
    assert!(!dir.path().join("postgres").exists());
}

#[tokio::test]
async fn ctrl_c_while_the_servers_start_ends_everything() {
    let dir = new_state_dir();
    let mut dev = Role::spawn("dev", dev_command(dir.path(), (free_port(), free_port())));
    eventually("the servers are being started", || async { processes_naming(dir.path()).len() >= 3 }).await;
    dev.signal(Signal::SIGINT);
    assert_eq!(dev.wait_exit().await.code(), Some(0), "{:?}", dev.output());
    assert_eq!(processes_naming(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn ctrl_c_while_the_servers_stop_kills_them() {
    let dir = new_state_dir();
    let port = free_port().to_string();
    let mut role = start_with(dir.path(), &["--manual", "--station-port", &port]).await.role;
    assert_station_serves(&role, &port).await;
    freeze_a_process_of_postgres(dir.path());
    role.signal(Signal::SIGINT);
    let stopping = |line: &String| line.contains("stopping PostgreSQL and RabbitMQ");
    eventually("the servers are stopping", || async { role.error_lines().iter().any(stopping) }).await;
    let asked = Instant::now();
    role.signal(Signal::SIGINT);
    assert_eq!(role.wait_exit().await.code(), Some(0), "{:?}", role.output());
    let took = asked.elapsed();
    assert!(took < dev::servers_options().postgres.stop_timeout / 2, "{took:?}: {:?}", role.output());
    assert_eq!(processes_naming(dir.path()), Vec::<String>::new());
}

async fn assert_station_serves(dev: &Role, port: &str) {
    let address = format!("http://127.0.0.1:{port}");
    let is_told = |line: &String| line.contains("station") && line.contains(&address);
    assert!(dev.error_lines().iter().any(is_told), "{:?}", dev.error_lines());
    let document = Http::new(address).get("/openapi.json").await;
    assert!(document.ok()["paths"].get("/station/tickets").is_some());
}

/// Without this one PostgreSQL cannot end by itself, however long it has: it ends when its time is over, or is killed.
fn freeze_a_process_of_postgres(state: &Path) {
    let lock = std::fs::read_to_string(state.join("postgres/data/postmaster.pid")).unwrap();
    let pid = lock.lines().next().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let child = children.split(' ').next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), Signal::SIGSTOP).unwrap();
}

/// The process of one kitchen worker that was started with this state folder's configuration.
fn worker_pid(state: &Path, worker: &str) -> Option<i32> {
    let state = state.to_string_lossy();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        line.contains(&format!("kitchen-worker --worker-name {worker} ")) && line.contains(&*state)
    })
}
