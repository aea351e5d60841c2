//! What a worker asks of the orders that it has, or had, in hand.

use super::Tables;
use restaurant_system::domain::{Status, WorkerName};
use restaurant_system::store::{Finish, NotHeld};

impl Tables {
    /// `Store::not_held`
    pub fn not_held(&self, worker: &WorkerName, held: &[Finish]) -> Vec<NotHeld> {
        let mut lost = Vec::new();
        for held in held {
            let order = self.by_number(&held.number).map(|(_, order)| order);
            let is_held = order.is_some_and(|order| {
                order.status == Status::Cooking
                    && order.attempt == held.attempt
                    && order.processed_by.as_deref() == Some(worker.as_str())
                    && order.claimed_at.is_some()
            });
            if !is_held {
                let became = order.map_or("deleted", |order| order.status.as_str()).to_owned();
                lost.push(NotHeld { order: held.clone(), became });
            }
        }
        lost
    }

    /// `Store::is_finished_by`
    pub fn is_finished_by(&self, worker: &WorkerName, finish: &Finish) -> bool {
        let Some((id, _)) = self.by_number(&finish.number) else { return false };
        let finished = (id, Status::Ready, finish.attempt, worker.as_str());
        self.log
            .iter()
            .any(|row| (row.order_id, row.status, row.attempt, row.changed_by.as_str()) == finished)
    }
}
