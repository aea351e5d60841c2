//! A cluster of private RabbitMQ servers on this machine, for the tests of what happens when one of several is away.
//!
//! Every method blocks: from asynchronous code call them through `spawn_blocking`.

use std::path::Path;

use super::account::{self, Account};
use super::error::ServerError;
use super::ports;
use super::process::ServerProcess;
use super::rabbitmq::{self, Member, RabbitMqOptions, RabbitMqServer};

/// Nodes that share their queues, each a [`RabbitMqServer`]; stopped when dropped.
#[derive(Debug)]
pub struct RabbitMqCluster {
    nodes: Vec<RabbitMqServer>,
    /// Dropped, and so ended, after the nodes.
    _epmd: ServerProcess,
}

impl RabbitMqCluster {
    /// Starts so many nodes with their files in folders of `home`.
    ///
    /// # Errors
    /// A program is not installed, a file cannot be written, or a node does not come up in time.
    pub fn start(home: &Path, size: usize, options: &RabbitMqOptions) -> Result<Self, ServerError> {
        let programs = options.programs.rabbitmq()?;
        account::claim_home(home, rabbitmq::USERS)?;
        let account = Account::choose("RabbitMQ", &home.join(rabbitmq::WORK), rabbitmq::USERS)?;
        let [epmd_port] = ports::free_ports()?;
        let epmd = rabbitmq::launch_epmd(&programs, home, epmd_port, options, account)?;
        let (node, host) = options.node.split_once('@').unwrap_or((options.node, "localhost"));
        let names: Vec<String> = (1..=size).map(|n| format!("{node}{n}@{host}")).collect();
        let start = |name: &String| {
            let member = Member { node: name.clone(), nodes: names.clone(), epmd_port };
            RabbitMqServer::start_as(&home.join(name), options.clone(), Some(member))
        };
        // The first is there before the others, which join it: those that start at once wait for each other.
        let mut nodes = Vec::with_capacity(size);
        for name in &names {
            nodes.push(start(name)?);
        }
        Ok(Self { nodes, _epmd: epmd })
    }

    /// The nodes, in the order of their names.
    pub fn nodes(&self) -> &[RabbitMqServer] {
        &self.nodes
    }
}
