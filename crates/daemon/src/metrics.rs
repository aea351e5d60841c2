//! The process's metrics, for Prometheus.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, info::Info},
    registry::Registry,
};

use super::process_metrics::ProcessCollector;
use super::sync::locked;

/// The media type of [`Metrics::encode`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The one registry of a process. A clone is the same registry.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    registry: Mutex<Registry>,
    withheld: OnceLock<Family<ActionLabel, Counter>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabel {
    action: &'static str,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry, whose metrics all begin with `prefix` and an underscore.
    pub fn with_prefix(prefix: &str) -> Self {
        let registry = Mutex::new(Registry::with_prefix(prefix));
        Self(Arc::new(Inner { registry, withheld: OnceLock::new() }))
    }

    /// Says what is running, as `build_info`.
    pub fn register_build(&self, version: &'static str) {
        let build = Info::new([("version", version)]);
        self.register(|registry| registry.register("build", "What is running", build));
    }

    /// Registers metrics; done once each, at the start. Counting itself never comes here.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut locked(&self.0.registry));
    }

    /// The counter of lines with an action that a budget withheld from the log ([`super::ration`]).
    pub(super) fn withheld(&self, action: &'static str) -> Counter {
        let all = self.0.withheld.get_or_init(|| {
            let all = Family::<ActionLabel, Counter>::default();
            let help = "Lines that were counted and not logged one by one";
            self.register(|registry| registry.register("log_lines_withheld", help, all.clone()));
            all
        });
        all.get_or_create(&ActionLabel { action }).clone()
    }

    /// All metrics as OpenMetrics text, and those of the process (`process_cpu_seconds_total` and its like).
    ///
    /// # Errors
    /// When a metric cannot be written as text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(4096);
        text::encode_registry(&mut text, &locked(&self.0.registry))?;
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector));
        text::encode(&mut text, &process)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn what_is_registered_is_in_the_text() {
        let metrics = Metrics::new();
        let orders: Counter = Counter::default();
        metrics.register(|registry| registry.register("orders_received", "Orders taken", orders.clone()));
        orders.inc_by(3);
        let text = metrics.encode().unwrap();
        assert!(text.contains("orders_received_total 3\n") && text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_process_is_in_the_text_under_its_usual_names() {
        let text = Metrics::with_prefix("shop").encode().unwrap();
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_virtual_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_threads ",
            "process_start_time_seconds ",
        ] {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
            assert!(line.parse::<f64>().unwrap() >= 0.0, "{name}{line}");
        }
    }
}
