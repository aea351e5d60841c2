//! Quorum queues that have fewer members than the cluster has nodes: one that was made before the other nodes joined stays on
//! one node for ever. AMQP does not tell; the management API does, where its address is configured.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::handle::{Broker, Publish};
use super::supervisor::BrokerState;

/// A cluster grows seldom: so often is looked again on one connection.
const MEMBERS_LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// After a connect the nodes of a cluster that starts as a whole may still be joining.
const SETTLE: Duration = Duration::from_secs(5);
/// How long the API may take.
const API_ANSWER: Duration = Duration::from_secs(10);
/// RabbitMQ makes so many members by itself where a cluster has more nodes.
const USUAL_MEMBERS: usize = 3;

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(default)]
    running: bool,
}

#[derive(Debug, Deserialize)]
struct Queue {
    name: String,
    /// Of quorum queues only.
    #[serde(default)]
    members: Vec<String>,
}

/// Where the management API cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error(
    "the management API at rabbitmq.management_url cannot be used: {0}; it wants the user's tag `monitoring`"
)]
struct ApiError(#[from] reqwest::Error);

impl Broker {
    /// After each connect, and now and then: says once which of the program's quorum queues have fewer members than they
    /// could have. Ends with `stop`, or at once where no management API is configured.
    pub async fn watch_members(self, stop: CancellationToken) {
        let Some(url) = self.shared.options.management_url.clone() else { return };
        let mut state = self.state();
        loop {
            let looked = async {
                let _ = state.wait_for(|state| matches!(state, BrokerState::Connected { .. })).await;
                tokio::time::sleep(SETTLE).await;
                match self.under_replicated_queues(&url).await {
                    Ok(under_replicated) => {
                        self.shared.declarer.troubles().queues_are_under_replicated(&under_replicated)
                    }
                    Err(error) => self.shared.declarer.troubles().members_unknown(&error),
                }
                tokio::select! {
                    _ = state.wait_for(|state| !matches!(state, BrokerState::Connected { .. })) => {}
                    () = tokio::time::sleep(MEMBERS_LOOK_AGAIN) => {}
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = looked => {}
            }
            if matches!(*state.borrow(), BrokerState::Closed) {
                return;
            }
        }
    }

    /// The program's queues with fewer members than there are nodes, and how many they have of how many.
    async fn under_replicated_queues(&self, url: &str) -> Result<Vec<(String, usize, usize)>, ApiError> {
        let vhost = encoded(&self.shared.options.vhost);
        let nodes: Vec<Node> = self.ask(&format!("{url}/api/nodes")).await?;
        let wanted = nodes.iter().filter(|node| node.running).count().min(USUAL_MEMBERS);
        let queues: Vec<Queue> = self.ask(&format!("{url}/api/queues/{vhost}")).await?;
        let under_replicated = queues.into_iter().filter(|queue| {
            let is_ours = self.shared.declarer.queue(&queue.name).is_some();
            is_ours && !queue.members.is_empty() && queue.members.len() < wanted
        });
        Ok(under_replicated.map(|queue| (queue.name, queue.members.len(), wanted)).collect())
    }

    async fn ask<T: DeserializeOwned>(&self, url: &str) -> Result<T, ApiError> {
        let options = &self.shared.options;
        let client = reqwest::Client::builder().timeout(API_ANSWER).no_proxy().build()?;
        let request = client.get(url).basic_auth(&options.user, Some(options.password.expose_secret()));
        // The address is the operator's own, and in no message: it may be of use to a stranger.
        let answer = async { request.send().await?.error_for_status()?.json().await };
        Ok(answer.await.map_err(reqwest::Error::without_url)?)
    }
}

/// A virtual host's name as a part of a path.
fn encoded(vhost: &str) -> String {
    vhost
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_is_one_part_of_the_path() {
        assert_eq!(encoded("/"), "%2F");
        assert_eq!(encoded("vhost-1/é"), "vhost-1%2F%C3%A9");
    }
}
