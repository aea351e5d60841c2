//! Whether the services behind the gateway answer.

use std::time::Duration;

use daemon::systemd::Condition;
use http_kit::health::{Readiness, ReadinessReport};
use jiff::Timestamp;
use poem::http::Method;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::upstream::{Service, Upstream};
use crate::services::server_metrics::ServerMetrics;

/// How often they are asked.
const PROBE: Duration = Duration::from_secs(2);

/// What is known of a service.
#[derive(Debug, Clone, Copy)]
struct State {
    answers: bool,
    since: Timestamp,
}

/// What is known of each of [`Service::ALL`].
#[derive(Debug, Clone)]
pub(super) struct States(watch::Receiver<[State; 2]>);

impl States {
    /// Asks from now on, until `stopping`.
    pub(super) fn watch(upstream: Upstream, stopping: CancellationToken) -> Self {
        let (states, seen) =
            watch::channel(Service::ALL.map(|_| State { answers: false, since: Timestamp::now() }));
        tokio::spawn(stopping.run_until_cancelled_owned(probe(upstream, states)));
        Self(seen)
    }

    /// The gateway is ready while both answer: its pages need both.
    pub(super) fn readiness(&self) -> Readiness {
        let states = self.0.clone();
        Readiness::new(move || {
            let states = *states.borrow();
            Service::ALL.iter().zip(states).fold(ReadinessReport::new(), |report, (service, state)| {
                report.required(service.as_str(), state.answers, state.since)
            })
        })
    }

    /// Has it measured which of them answers.
    pub(super) fn measure(&self, metrics: &ServerMetrics) {
        for (index, service) in Service::ALL.into_iter().enumerate() {
            metrics.follow(service.as_str(), self.0.clone(), move |states| states[index].answers);
        }
    }

    /// As the service manager hears of it.
    pub(super) fn condition(&self, doing: String) -> Condition {
        let states = *self.0.borrow();
        let away = Service::ALL.iter().zip(states).filter(|(_, state)| !state.answers);
        let away: Vec<_> = away
            .map(|(service, state)| {
                format!("the {} since {}", service.as_str(), state.since.strftime("%H:%M UTC"))
            })
            .collect();
        Condition { doing, waiting_for: (!away.is_empty()).then(|| away.join(" and ")), finishing: None }
    }
}

async fn probe(upstream: Upstream, states: watch::Sender<[State; 2]>) {
    let mut is_known = false;
    loop {
        for (index, service) in Service::ALL.into_iter().enumerate() {
            let answer = upstream.call(service, Method::GET, "/healthz", None, &Caller::nobody()).await;
            let answers = answer.is_ok_and(|answer| answer.status.is_success());
            if states.borrow()[index].answers == answers && is_known {
                continue;
            }
            states.send_modify(|states| states[index] = State { answers, since: Timestamp::now() });
            let details = service.as_str();
            if answers {
                tracing::info!(action = "service_found", details, "a service behind the gateway answers");
            } else {
                tracing::warn!(
                    action = "service_lost",
                    details,
                    "a service behind the gateway does not answer"
                );
            }
        }
        is_known = true;
        tokio::time::sleep(PROBE).await;
    }
}
