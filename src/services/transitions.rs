//! How often orders went from one status to another, counted by whoever committed it.

use daemon::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::domain::{Status, TRANSITIONS};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransitionLabels {
    from: &'static str,
    to: &'static str,
}

/// A clone counts with it.
#[derive(Debug, Clone, Default)]
pub struct Transitions(Family<TransitionLabels, Counter>);

impl Transitions {
    /// Registers `order_transitions_total`.
    pub(super) fn register(&self, metrics: &Metrics) {
        for (from, to) in TRANSITIONS {
            self.counter(*from, *to);
        }
        let help = "Changes of status that this process committed";
        metrics.register(|registry| registry.register("order_transitions", help, self.0.clone()));
    }

    pub(super) fn note(&self, from: Status, to: Status) {
        self.counter(from, to).inc();
    }

    fn counter(&self, from: Status, to: Status) -> Counter {
        self.0.get_or_create(&TransitionLabels { from: from.as_str(), to: to.as_str() }).clone()
    }
}
