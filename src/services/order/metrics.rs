//! What is measured of orders that are taken, and whether any are.

use daemon::metrics::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::domain::OrderType;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabel {
    order_type: &'static str,
}

/// Orders that this process took.
#[derive(Debug, Clone, Default)]
pub struct OrdersReceived(Family<TypeLabel, Counter>);

impl OrdersReceived {
    /// Registers `orders_received_total`.
    pub fn register(metrics: &Metrics) -> Self {
        let all = Self::default();
        for order_type in OrderType::ALL {
            all.counter(order_type);
        }
        let help = "Orders that this process took";
        metrics.register(|registry| registry.register("orders_received", help, all.0.clone()));
        all
    }

    pub(super) fn note(&self, order_type: OrderType) {
        self.counter(order_type).inc();
    }

    fn counter(&self, order_type: OrderType) -> Counter {
        self.0.get_or_create(&TypeLabel { order_type: order_type.as_str() }).clone()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// The state of the intake, by the names that it may have.
#[derive(Debug, Clone)]
pub(super) struct IntakeGauge {
    names: &'static [&'static str],
    states: Family<StateLabel, Gauge>,
}

impl IntakeGauge {
    /// Registers `intake_state`: 1 for what it is, and 0 for all while that is unknown.
    pub(super) fn register(metrics: &Metrics, names: &'static [&'static str]) -> Self {
        let all = Self { names, states: Family::default() };
        all.show(None);
        let help = "Whether orders are taken: 1 for the present state";
        metrics.register(|registry| registry.register("intake_state", help, all.states.clone()));
        all
    }

    pub(super) fn show(&self, present: Option<&str>) {
        for state in self.names {
            self.states.get_or_create(&StateLabel { state }).set(i64::from(present == Some(state)));
        }
    }
}
