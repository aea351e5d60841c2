//! RabbitMQ, its queues and the dead letters.

use amqp::BrokerError;

use super::check::{Check, Finding};
use crate::broker::{DEAD_LETTER_QUEUE, kitchen_queue};
use crate::domain::OrderType;

/// From this share of their limit on there is little time left.
const NEARLY_FULL_PERCENT: u64 = 80;

/// What RabbitMQ answers.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) server: String,
    pub(super) takes_messages: Result<(), BrokerError>,
    pub(super) queues: Result<Vec<Queue>, BrokerError>,
}

#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) name: String,
    /// Messages and consumers; `None` where it does not exist.
    pub(super) found: Option<(u32, u32)>,
}

pub(super) fn rabbitmq(asked: &Result<Broker, BrokerError>) -> Check {
    let broker = match asked {
        Ok(broker) => broker,
        Err(error) => {
            let advice = match error {
                BrokerError::LoginRefused { .. } => {
                    "try it (rabbitmqctl authenticate_user USER PASSWORD; rabbitmqctl list_permissions -p VHOST), then mend \
                     the configuration or the user"
                }
                _ => {
                    "see whether it runs (systemctl status rabbitmq-server; rabbitmq-diagnostics check_running); orders are \
                     taken and cooked meanwhile, and announced later"
                }
            };
            return Check::of("rabbitmq", "", vec![Finding::problem(error.to_string(), advice)]);
        }
    };
    let findings = match &broker.takes_messages {
        // An account without the right to the default exchange cannot know.
        Ok(()) | Err(BrokerError::NotPermitted { .. }) => Vec::new(),
        Err(error) => {
            let advice = "rabbitmq-diagnostics alarms says which; give it memory or free its disk. Orders are announced later";
            vec![Finding::problem(error.to_string(), advice)]
        }
    };
    Check::of("rabbitmq", broker.server.clone(), findings)
}

/// Queues that are not there or that nobody consumes. The queue of a type without cooks is one of the line `cooks`.
pub(super) fn queues(asked: &Result<Broker, BrokerError>, has_cooks: impl Fn(OrderType) -> bool) -> Check {
    let queues = match asked.as_ref().map(|broker| &broker.queues) {
        Err(_) => return Check::unknown("queues", super::NO_RABBITMQ),
        Ok(Err(error)) => return Check::unknown("queues", error),
        Ok(Ok(queues)) => queues,
    };
    let findings = queues.iter().filter_map(|queue| of_queue(queue, &has_cooks)).collect();
    let waiting: u64 = queues.iter().filter(|q| q.name != DEAD_LETTER_QUEUE).map(messages).sum();
    let summary = format!("all {} are there, {waiting} messages wait", queues.len());
    Check::of("queues", summary, findings)
}

fn of_queue(queue: &Queue, has_cooks: impl Fn(OrderType) -> bool) -> Option<Finding> {
    let name = &queue.name;
    let order_type = OrderType::ALL.into_iter().find(|of| kitchen_queue(of.as_str()) == *name);
    let is_dead_letters = name == DEAD_LETTER_QUEUE;
    match (queue.found, order_type) {
        (None, _) => {
            let maker = if is_dead_letters { "a kitchen worker" } else { "an order service" };
            Some(Finding::problem(
                format!("{name} does not exist"),
                format!("start {maker}, which makes it, or restart it"),
            ))
        }
        (Some((_, 0)), None) if !is_dead_letters => Some(Finding::warning(
            format!("nobody consumes {name}, and {} messages wait in it", messages(queue)),
            "start a notification-subscriber, or delete the queue where none is wanted (rabbitmqctl delete_queue)",
        )),
        (Some((_, 0)), Some(of)) if has_cooks(of) => Some(Finding::warning(
            format!("nobody consumes {name}, although workers of {of} are online"),
            "see the log of those workers; meanwhile they take orders from PostgreSQL",
        )),
        _ => None,
    }
}

fn messages(queue: &Queue) -> u64 {
    queue.found.map_or(0, |(messages, _)| messages.into())
}

pub(super) fn dead_letters(asked: &Result<Broker, BrokerError>, limit: u32) -> Check {
    let name = "dead-letters";
    let queues = match asked.as_ref().map(|broker| &broker.queues) {
        Err(_) => return Check::unknown(name, super::NO_RABBITMQ),
        Ok(Err(error)) => return Check::unknown(name, error),
        Ok(Ok(queues)) => queues,
    };
    let count = queues.iter().find(|queue| queue.name == DEAD_LETTER_QUEUE).map_or(0, messages);
    let advice = "restaurant-system dead-letters list says why; then requeue or discard";
    let summary = format!("messages that no worker could process: {count}");
    match count {
        0 => Check::of(name, "none", Vec::new()),
        _ if count * 100 >= u64::from(limit) * NEARLY_FULL_PERCENT => {
            let summary = format!("{summary}; from {limit} on they are dropped");
            Check::of(name, "", vec![Finding::problem(summary, advice)])
        }
        _ => Check::of(name, "", vec![Finding::warning(summary, advice)]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn queue(name: &str, messages: u32, consumers: u32) -> Queue {
        Queue { name: name.to_owned(), found: Some((messages, consumers)) }
    }

    fn broker(queues: Vec<Queue>) -> Result<Broker, BrokerError> {
        Ok(Broker { server: "RabbitMQ 4.0.5".to_owned(), takes_messages: Ok(()), queues: Ok(queues) })
    }

    #[test]
    fn a_queue_without_consumers_is_told_of_unless_its_type_has_no_cooks() {
        let of = |found| broker(vec![queue("kitchen_takeout_queue", 3, found)]);
        assert_eq!(queues(&of(1), |_| true).state, State::Ok);
        assert_eq!(queues(&of(0), |_| true).state, State::Warning);
        assert_eq!(queues(&of(0), |_| false).state, State::Ok);
        assert_eq!(
            queues(&broker(vec![queue("notifications_queue", 9, 0)]), |_| false).state,
            State::Warning
        );
    }

    #[test]
    fn a_queue_that_is_missing_is_a_problem() {
        let missing = Queue { name: "kitchen_takeout_queue".to_owned(), found: None };
        let check = queues(&broker(vec![missing]), |_| true);
        assert_eq!(check.state, State::Problem);
        assert!(check.summary.contains("kitchen_takeout_queue"), "{check:?}");
    }

    #[test]
    fn dead_letters_are_a_warning_and_a_problem_before_they_are_dropped() {
        for (count, state) in
            [(0, State::Ok), (1, State::Warning), (79, State::Warning), (80, State::Problem)]
        {
            let check = dead_letters(&broker(vec![queue("kitchen_dead_letters", count, 0)]), 100);
            assert_eq!(check.state, state, "{count}");
        }
    }

    #[test]
    fn an_alarm_is_a_problem_and_what_the_account_may_not_know_is_none() {
        let with = |error| Ok(Broker { takes_messages: Err(error), ..broker(Vec::new()).unwrap() });
        assert_eq!(rabbitmq(&with(BrokerError::Blocked)).state, State::Problem);
        let refused =
            BrokerError::NotPermitted { object: "x".to_owned(), reason: "y".to_owned(), advice: "" };
        assert_eq!(rabbitmq(&with(refused)).state, State::Ok);
    }

    #[test]
    fn without_the_server_the_rest_is_unknown_and_no_fault_of_its_own() {
        let away = Err(BrokerError::NotConnected);
        assert_eq!(rabbitmq(&away).state, State::Problem);
        assert_eq!(queues(&away, |_| true).state, State::Unknown);
        assert_eq!(dead_letters(&away, 100).state, State::Unknown);
    }
}
