//! Clients that hold connections and say nothing: contract, section 2 (`http.connections_per_address`), and what the
//! service promises to everybody else meanwhile.

use super::client::{OrderService, spawn};
use crate::support::{Http, Role, TestEnv, eventually_ok, takeout};
use daemon::descriptors;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Half a header, or the answer to a whole one left unused.
const SILENT: [&str; 3] =
    ["", "POST /orders HTTP/1.1\r\nHost: x\r\nX-", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"];

/// Connections that say nothing more; each is opened again when the service closes it. They end with the set.
fn silent_clients(url: &str, count: usize) -> JoinSet<()> {
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let mut clients = JoinSet::new();
    for n in 0..count {
        let address = address.clone();
        clients.spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(&address).await
                    && stream.write_all(SILENT[n % SILENT.len()].as_bytes()).await.is_ok()
                {
                    let mut scratch = [0; 256];
                    while stream.read(&mut scratch).await.is_ok_and(|length| length > 0) {}
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    clients
}

async fn metric(service: &Http, name: &str) -> u64 {
    // Not over a connection that may have had to give way.
    let text = Http::new(&service.url).get("/metrics").await.text;
    let value =
        text.lines().find_map(|line| line.strip_prefix("restaurant_")?.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_beyond_all_places_keep_nobody_from_ordering() {
    descriptors::raise_limit();
    let service = OrderService::start().await;
    let silent = silent_clients(&service.http.url, 1400);
    eventually_ok("clients have to give way", || async {
        match metric(&service.http, "http_connections_refused_total").await {
            0..100 => Err("too few"),
            _ => Ok(()),
        }
    })
    .await;
    for _ in 0..5 {
        // Each over a connection of its own, as a new client comes.
        let asked = Instant::now();
        Http::new(&service.http.url).place(&takeout()).await;
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
    assert!(metric(&service.http, "http_connections_open").await <= 1024);
    assert_eq!(service.role.logs_of("connections_full").len(), 1);
    drop(silent);
}

/// An order service that may have so many open files.
async fn with_open_files(env: &TestEnv, open_files: u32) -> (Role, Http) {
    let program = env.command(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {open_files}; exec \"$0\" \"$@\"")).arg(program);
    command.args(["order-service", "--port", "0", "--log-format", "json", "--config"]).arg(env.config());
    command.current_dir(env.dir());
    let role = Role::spawn("order-service", command);
    let http = Http::new(role.url().await);
    http.wait_ready().await;
    (role, http)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hold_every_place_leave_the_service_its_database() {
    let env = TestEnv::new().await;
    let (role, http) = with_open_files(&env, 200).await;
    role.wait_for_action("few_file_descriptors").await;
    let silent = silent_clients(&http.url, 300);
    eventually_ok("clients have to give way", || async {
        match metric(&http, "http_connections_refused_total").await {
            0..100 => Err("too few"),
            _ => Ok(()),
        }
    })
    .await;
    let (orders, until) = (takeout(), Instant::now() + Duration::from_secs(3));
    while Instant::now() < until {
        assert_eq!(http.post(&orders).await.status, 201);
        assert_eq!(http.get("/readyz").await.status, 200);
    }
    assert!(role.logs_of("accept_failed").is_empty(), "{:?}", role.output());
    assert!(role.logs_of("db_connection_failed").is_empty(), "{:?}", role.output());
    drop(silent);
}

#[tokio::test]
async fn the_limit_on_open_files_is_raised_as_far_as_it_may_be() {
    let env = TestEnv::new().await;
    env.write_config("");
    let role = env.spawn(&["order-service", "--port", "0"]);
    role.url().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", role.pid())).unwrap();
    let open_files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard, ..] = open_files.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{limits}") };
    assert_eq!(soft, hard);
}

#[tokio::test]
async fn an_address_has_the_share_that_is_configured() {
    let env = TestEnv::new().await;
    env.edit_config(|text| format!("{text}http:\n  connections_per_address: 4\n"));
    let (_role, http) = spawn(&env, &[]).await;
    let silent = silent_clients(&http.url, 10);
    eventually_ok("clients have to give way", || async {
        match metric(&http, "http_connections_refused_total").await {
            0 => Err("none"),
            _ => Ok(()),
        }
    })
    .await;
    assert!(metric(&http, "http_connections_open").await <= 4);
    drop(silent);
}
