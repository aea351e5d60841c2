//! Whether a role's servers are there, as metrics, and how often they came back.

use amqp::BrokerState;
use daemon::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::store::StoreState;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabel {
    server: &'static str,
}

/// `server_connected` and `reconnects_total` of the servers that a role has.
#[derive(Debug, Clone, Default)]
pub struct ServerMetrics {
    connected: Family<ServerLabel, Gauge>,
    reconnects: Family<ServerLabel, Counter>,
}

impl ServerMetrics {
    pub fn register(metrics: &Metrics) -> Self {
        let all = Self::default();
        metrics.register(|registry| {
            let help = "Whether a server answers (1) or is away (0)";
            registry.register("server_connected", help, all.connected.clone());
            let help = "How often a server came back that had been there";
            registry.register("reconnects", help, all.reconnects.clone());
        });
        all
    }

    /// Follows PostgreSQL from now on.
    pub fn follow_store(&self, state: watch::Receiver<StoreState>) {
        self.follow("postgresql", state, |state| matches!(state, StoreState::Up));
    }

    /// Follows RabbitMQ from now on.
    pub fn follow_broker(&self, state: watch::Receiver<BrokerState>) {
        self.follow("rabbitmq", state, |state| matches!(state, BrokerState::Connected { .. }));
    }

    /// Follows a server, for as long as somebody tells of it.
    pub(super) fn follow<T: Send + Sync + 'static>(
        &self,
        server: &'static str,
        mut state: watch::Receiver<T>,
        is_up: impl Fn(&T) -> bool + Send + 'static,
    ) {
        let label = ServerLabel { server };
        let connected = self.connected.get_or_create(&label).clone();
        let reconnects = self.reconnects.get_or_create(&label).clone();
        tokio::spawn(async move {
            let (mut was_up, mut was_ever_up) = (false, false);
            loop {
                let up = is_up(&state.borrow_and_update());
                if up && !was_up {
                    if was_ever_up {
                        reconnects.inc();
                    }
                    was_ever_up = true;
                }
                was_up = up;
                connected.set(i64::from(up));
                if state.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}
