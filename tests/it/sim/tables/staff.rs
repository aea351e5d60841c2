//! The statements by which staff changes orders.

use super::{OutboxRow, Tables, Without, log_row};
use restaurant_system::domain::{OrderNumber, Status};
use restaurant_system::store::{StaffAct, StaffChange, StaffOutcome};

impl Tables {
    /// `Store::move_order`
    pub fn move_order(&mut self, now: i64, number: &OrderNumber, change: &StaffChange<'_>) -> StaffOutcome {
        let Some((id, order)) = self.by_number(number) else { return StaffOutcome::NotFound };
        let order_type = order.form.order_type();
        if !change.to.order_types().contains(&order_type) {
            return StaffOutcome::OtherType(order_type);
        }
        if !change.from.contains(&order.status) {
            return StaffOutcome::Conflict(order.status);
        }
        let from = order.status;
        self.change(now, id, change.to, &change.act.by.changed_by(), change.act.detail);
        StaffOutcome::Done { from }
    }

    /// `Store::recall_order`
    pub fn recall_order(
        &mut self,
        now: i64,
        number: &OrderNumber,
        act: &StaffAct<'_>,
        within_ms: i64,
    ) -> StaffOutcome {
        let Some((id, order)) = self.by_number(number) else { return StaffOutcome::NotFound };
        if order.status != Status::Ready {
            return StaffOutcome::Conflict(order.status);
        }
        if order.completed_at.is_none_or(|at| at <= now - within_ms) {
            return StaffOutcome::TooLate;
        }
        let attempts = i32::from(self.without != Without::NewAttempt);
        if let Some(order) = self.orders.get_mut(&id) {
            order.attempt += attempts;
            order.claimed_at = None;
            order.completed_at = None;
        }
        self.change(now, id, Status::Cooking, &act.by.changed_by(), None);
        StaffOutcome::Done { from: Status::Ready }
    }

    /// How often an order went this way.
    pub fn count(&self, from: Status, to: Status) -> usize {
        self.log.iter().filter(|row| (row.previous, row.status) == (Some(from), to)).count()
    }

    /// How many orders were ready that had been taken over before.
    pub fn taken_over(&self) -> usize {
        let says_so = |notes: &String| notes.starts_with("taken over");
        self.log.iter().filter(|row| row.notes.as_ref().is_some_and(says_so)).count()
    }

    fn change(&mut self, now: i64, id: i64, to: Status, by: &str, notes: Option<&str>) {
        let previous = self.set_status(id, to);
        let Some(order) = self.orders.get_mut(&id) else { return };
        order.updated_at = now;
        order.estimated_completion = None;
        let mut row = log_row(id, previous, to, order.attempt, by);
        row.notes = notes.map(str::to_owned);
        if let Some((log_id, order_id)) = self.log(now, row) {
            self.outbox.insert(log_id, OutboxRow::of_one(log_id, order_id, false, now));
        }
    }
}
