//! What must be true, whatever happened.

use super::tables::Order;
use super::world::State;
use restaurant_system::domain::{OrderNumber, Status};
use std::collections::BTreeMap;

/// A 201.
#[derive(Debug, Clone)]
pub struct Answer {
    pub number: OrderNumber,
    pub key: Option<String>,
}

/// At the moment of the answer the order is committed.
pub fn answered(state: &mut State, answer: &Answer) {
    state.note(None, "a customer hears", &answer.number);
    if state.tables.by_number(&answer.number).is_none() {
        state.violate(format!("{} was answered and is not committed", answer.number));
    }
}

/// When everything is quiet: all that was promised.
/// With a `reconciled` broker that it knows it all, whatever it lost.
pub fn audit(state: &mut State, answers: &[Answer], reconciled: bool) {
    if !state.violations.is_empty() || !state.tables.violations.is_empty() {
        return;
    }
    let mut wrong = Vec::new();
    orders(state, &mut wrong);
    announcements(state, reconciled, &mut wrong);
    keys(state, answers, &mut wrong);
    workers(state, &mut wrong);
    names(state, &mut wrong);
    for letter in state.broker.dead_letters.iter().filter(|letter| letter.id != "poison") {
        wrong.push(format!("{} is among the dead letters", letter.id));
    }
    for what in wrong {
        state.violate(what);
    }
}

fn orders(state: &State, wrong: &mut Vec<String>) {
    for (place, (id, order)) in (1..).zip(&state.tables.orders) {
        let rows = state.tables.log.iter().filter(|row| row.order_id == *id);
        let history: Vec<(Option<Status>, Status)> = rows.map(|row| (row.previous, row.status)).collect();
        // Each change begins where the one before has led to.
        let came_to = std::iter::once(None).chain(history.iter().map(|(_, status)| Some(*status)));
        let is_way = came_to.zip(&history).all(|(came_to, (previous, status))| {
            *previous == came_to
                && previous.map_or(*status == Status::Received, |from| from.may_become(*status))
        });
        if !is_way || !order.status.is_settled() {
            wrong.push(format!("the history of {} is {history:?}", order.number));
        }
        if history.last().map(|(_, status)| status) != Some(&order.status) {
            wrong.push(format!("{} is {}, and its history {history:?}", order.number, order.status));
        }
        let expected = format!("ORD_{}_{place:03}", state.tables.day);
        if order.number.as_str() != expected {
            wrong.push(format!("{} should be {expected}: a gap", order.number));
        }
    }
}

/// Every change was announced at least once.
fn announcements(state: &State, reconciled: bool, wrong: &mut Vec<String>) {
    for row in &state.tables.log {
        let message_id = format!("{}.{}", state.tables.orders[&row.order_id].number, row.id);
        if !state.broker.routed.contains(&message_id) {
            wrong.push(format!("{message_id} ({}) was never announced", row.status));
        } else if reconciled && row.status != Status::Received && !state.broker.known.contains(&message_id) {
            wrong.push(format!("the broker lost {message_id} ({}) and was not told again", row.status));
        }
    }
}

/// Equal keys, one order, equal answers.
fn keys(state: &State, answers: &[Answer], wrong: &mut Vec<String>) {
    let mut by_key: BTreeMap<&str, &OrderNumber> = BTreeMap::new();
    for answer in answers {
        let Some(key) = &answer.key else { continue };
        let first = *by_key.entry(key).or_insert(&answer.number);
        if *first != answer.number {
            wrong.push(format!("{key} was answered with {first} and with {}", answer.number));
        }
    }
    for (key, number) in by_key {
        let Some((_, order)) = state.tables.by_number(number) else { continue };
        let same = |other: &&Order| other.request_id == order.request_id;
        let count = state.tables.orders.values().filter(same).count();
        if count != 1 {
            wrong.push(format!("{key} made {count} orders"));
        }
    }
}

fn workers(state: &State, wrong: &mut Vec<String>) {
    let counted: i32 = state.tables.workers.values().map(|worker| worker.orders_processed).sum();
    let ready = state.tables.count(Status::Cooking, Status::Ready);
    if usize::try_from(counted) != Ok(ready) {
        wrong.push(format!("the workers counted {counted} orders, and {ready} became ready"));
    }
}

/// Of the processes that ever were at work under one name, the last one is, at most.
fn names(state: &State, wrong: &mut Vec<String>) {
    let mut at_work: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for process in state.processes.iter().filter(|process| process.alive && process.registered) {
        let name = process.name.split('#').next().unwrap_or_default();
        at_work.entry(name).or_default().push(&process.name);
    }
    wrong.extend(at_work.values().filter(|all| all.len() > 1).map(|all| format!("{all:?} are at work")));
}
