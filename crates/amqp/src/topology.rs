//! What a program has on the server: its exchanges, queues and bindings, and who makes which.

use std::fmt::Debug;
use std::time::Duration;

/// The description that a program hands in. What it names is declared at each connect, the same by whoever connects first.
pub trait Topology: Debug + Send + Sync {
    /// The names that the client itself uses on the server.
    fn names(&self) -> Names;

    /// All exchanges, with their types.
    fn exchanges(&self) -> &[(&'static str, &'static str)];

    /// The queues that always exist.
    fn queues(&self) -> Vec<QueueSpec>;

    /// The queue of this name, where it is one of the program's: one of [`Self::queues`], or one that exists while it is used.
    fn queue(&self, name: &str) -> Option<QueueSpec> {
        self.queues().into_iter().find(|queue| queue.name == name)
    }

    /// Whether this process declares that exchange or queue whenever it connects. What others make it declares only where
    /// that is missing, if its account may.
    fn makes(&self, _object: &str) -> bool {
        true
    }

    /// Whether this process can do nothing before that exchange or queue is there.
    fn needs(&self, object: &str) -> bool {
        self.makes(object)
    }

    /// Who makes that exchange or queue, in words.
    fn maker(&self, _object: &str) -> &'static str {
        "another process"
    }
}

/// Names that the client itself uses on the server.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The exchange that dead letters are published to.
    pub dead_letter_exchange: &'static str,
    /// The queue in which they wait for a person.
    pub dead_letter_queue: &'static str,
    /// A durable exchange that nobody publishes to, and that [`Topology::exchanges`] does not have: see
    /// [`crate::BrokerSentinel`].
    pub sentinel: &'static str,
    /// A queue that does not exist. What is published to it shows whether the server takes anything.
    pub alarm_probe: &'static str,
    /// What the names of the queues begin with in which messages are kept while their own queue is made anew.
    pub moving_prefix: &'static str,
    /// What the name begins with that the holder of a [`crate::Slot`] holds; the name of its queue follows.
    pub slot_prefix: &'static str,
    /// What the tags of consumers begin with, unless they are told otherwise.
    pub consumer_tag_prefix: &'static str,
}

/// A durable queue and its binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// The exchange that it is bound to.
    pub exchange: &'static str,
    /// The key of that binding.
    pub binding_key: String,
    /// How many priorities a classic queue tells apart; quorum queues take no such number.
    pub max_priority: Option<u8>,
    /// How long nobody may use it before it vanishes.
    pub expires: Option<Duration>,
}

impl QueueSpec {
    /// One that stays, without priorities.
    pub fn new(name: &str, exchange: &'static str, binding_key: impl Into<String>) -> Self {
        let (name, binding_key) = (name.to_owned(), binding_key.into());
        Self { name, exchange, binding_key, max_priority: None, expires: None }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One kind of job, and those who watch.
    #[derive(Debug)]
    pub(crate) struct Jobs;

    impl Topology for Jobs {
        fn names(&self) -> Names {
            Names {
                dead_letter_exchange: "dead",
                dead_letter_queue: "jobs_dead",
                sentinel: "jobs_known",
                alarm_probe: "jobs.alarm-probe",
                moving_prefix: "jobs_moving.",
                slot_prefix: "job_watcher.",
                consumer_tag_prefix: "jobs",
            }
        }

        fn exchanges(&self) -> &[(&'static str, &'static str)] {
            &[("work", "topic"), ("seen", "fanout"), ("dead", "fanout")]
        }

        fn queues(&self) -> Vec<QueueSpec> {
            let jobs = QueueSpec { max_priority: Some(10), ..QueueSpec::new("jobs", "work", "jobs.*") };
            vec![jobs, QueueSpec::new("jobs_dead", "dead", "")]
        }

        fn queue(&self, name: &str) -> Option<QueueSpec> {
            if name.starts_with("jobs_seen.") {
                let expires = Some(Duration::from_secs(60));
                return Some(QueueSpec { expires, ..QueueSpec::new(name, "seen", "") });
            }
            self.queues().into_iter().find(|queue| queue.name == name)
        }
    }
}
