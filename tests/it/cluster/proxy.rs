//! HAProxy in front of the servers, configured with the example of docs/OPERATIONS.md.

use super::machines::Machines;
use crate::support::free_port;
use private_servers::{PostgresServer, watch};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The fence of the example.
const FENCE: &str = "```haproxy\n";
/// The user by whom it finds out which database is the primary, as the example says.
const CHECKS_USER: &str = "haproxy";

/// A running HAProxy; killed when dropped, and should this process die.
pub struct Proxy {
    child: Child,
    /// Where it takes connections for the brokers, and for the primary.
    pub broker: u16,
    pub database: u16,
}

impl Proxy {
    /// Lets its checks into the databases and starts it.
    pub fn start(machines: &Machines, dir: &Path) -> Self {
        if_missing_create_user(machines.primary());
        machines.databases.iter().for_each(let_in);
        let (broker, database) = (free_port(), free_port());
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, configuration(machines, broker, database)).unwrap();
        let log = std::fs::File::create(dir.join("haproxy.log")).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stderr(log);
        let child = command.spawn().expect("haproxy is installed");
        watch::guard(&[child.id()]).unwrap();
        Self { child, broker, database }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = watch::release(&[self.child.id()]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example with the ports of this machine instead of those of `one`, `two` and `three`.
fn configuration(machines: &Machines, broker: u16, database: u16) -> String {
    let (_, rest) =
        include_str!("../../../docs/OPERATIONS.md").split_once(FENCE).expect("there is an example");
    let (example, _) = rest.split_once("```").expect("the example ends");
    let mut text = example.to_owned();
    let mut put = |example: &str, port: u16| {
        assert!(text.contains(example), "the example has no {example}");
        text = text.replace(example, &format!("127.0.0.1:{port}"));
    };
    put("127.0.0.1:5672", broker);
    put("127.0.0.1:5432", database);
    for (name, node) in ["one", "two", "three"].into_iter().zip(machines.brokers.nodes()) {
        put(&format!("{name}:5672"), node.amqp_port());
    }
    for (name, server) in ["one", "two"].into_iter().zip(&machines.databases) {
        put(&format!("{name}:5432"), server.port());
    }
    text
}

fn if_missing_create_user(primary: &PostgresServer) {
    let known = format!("select count(*) from pg_roles where rolname = '{CHECKS_USER}'");
    if primary.query(&known).unwrap() == "0" {
        primary.query(&format!("create role {CHECKS_USER} login")).unwrap();
    }
}

/// The checks log in without a password, from this machine.
fn let_in(server: &PostgresServer) {
    let rule = format!("host postgres {CHECKS_USER} 127.0.0.1/32 trust\n");
    let file = server.query("show hba_file").unwrap();
    let rules = std::fs::read_to_string(&file).unwrap();
    if !rules.starts_with(&rule) {
        std::fs::write(&file, rule + &rules).unwrap();
        server.query("select pg_reload_conf()").unwrap();
    }
}
