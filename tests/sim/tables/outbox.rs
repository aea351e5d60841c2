//! The statements about the outbox: what is committed and not yet announced, or to be announced again.

use super::{LogRow, OutboxRow, Tables, Without};
use jiff::Timestamp;
use restaurant_system::domain::Status;
use restaurant_system::store::{
    Announcement, AnnouncementContent, LateOrders, OrderAnnouncement, StatusAnnouncement,
};
use std::collections::BTreeSet;

/// After so many repetitions the pause doubles no more (`store/reconcile.rs`).
const MAX_DOUBLINGS: u32 = 6;

/// Outbox rows that one relay has locked.
#[derive(Debug)]
pub struct LockedBatch {
    pub lock: u64,
    pub announcements: Vec<Announcement>,
    pub locked: usize,
}

impl Tables {
    /// `Store::lock_outbox`, while others who look at the same time have the rows `passed_over`.
    pub fn lock_outbox(
        &mut self,
        now: i64,
        limit: usize,
        orders_after_ms: i64,
        passed_over: &BTreeSet<i64>,
    ) -> LockedBatch {
        self.next_lock += 1;
        let lock = self.next_lock;
        let free = |row: &OutboxRow| {
            row.locked_by.is_none() && (!row.is_order || row.created_at <= now - orders_after_ms)
        };
        let free = self.outbox.iter().filter(|(id, row)| free(row) && !passed_over.contains(id));
        let ids: Vec<i64> = free.map(|(id, _)| *id).take(limit).collect();
        let mut taken = BTreeSet::new();
        let mut announcements = Vec::new();
        for id in &ids {
            let row = &self.outbox[id];
            let is_before = |other: &OutboxRow| other.order_id == row.order_id && !other.is_order;
            let open_before = self.outbox.range(..id).rev().find(|(_, other)| is_before(other));
            if row.is_order || open_before.is_none_or(|(before, _)| taken.contains(before)) {
                taken.insert(*id);
                announcements.push(self.announcement(*id, row));
            }
        }
        // What holds nothing to announce is let go at once.
        for id in ids.iter().filter(|_| !announcements.is_empty()) {
            if let Some(row) = self.outbox.get_mut(id) {
                row.locked_by = Some(lock);
            }
        }
        LockedBatch { lock, announcements, locked: ids.len() }
    }

    fn announcement(&self, log_id: i64, row: &OutboxRow) -> Announcement {
        let order = &self.orders[&row.order_id];
        let logged = self.log.iter().find(|logged| logged.id == log_id).unwrap();
        let content = if row.is_order {
            AnnouncementContent::Order(OrderAnnouncement {
                customer_name: order.form.customer_name().to_owned(),
                order_type: order.form.order_type(),
                table_number: order.form.table_number(),
                delivery_address: order.form.delivery_address().map(str::to_owned),
                items: order.form.items().to_vec(),
                total_amount: order.form.total_amount(),
            })
        } else {
            AnnouncementContent::Status(StatusAnnouncement {
                status: logged.status,
                changed_by: logged.changed_by.clone(),
                estimated_completion: logged.estimated_completion.map(timestamp),
            })
        };
        Announcement {
            log_id,
            changed_at: timestamp(logged.changed_at),
            number: order.number.clone(),
            priority: order.form.priority(),
            request_id: order.request_id.clone(),
            traceparent: order.traceparent.clone(),
            content,
        }
    }

    /// `Store::confirm_outbox`; with nothing published, what a lost connection does as well.
    pub fn confirm_outbox(&mut self, lock: u64, published: &[i64]) {
        for log_id in published {
            self.outbox.remove(log_id);
        }
        for row in self.outbox.values_mut().filter(|row| row.locked_by == Some(lock)) {
            row.locked_by = None;
        }
    }

    /// `Store::outbox_rows`
    pub fn outbox_rows(&self, limit: i64) -> i64 {
        i64::try_from(self.outbox.len()).unwrap().min(limit)
    }

    /// `Store::announce_late_orders`
    pub fn announce_late_orders(
        &mut self,
        now: i64,
        after: i64,
        limit: usize,
        first_pause_ms: i64,
    ) -> LateOrders {
        let page = self.orders.range_mut(after + 1..).filter(|(_, order)| order.status == Status::Received);
        let (mut seen, mut last, mut late) = (0, 0, Vec::new());
        for (id, order) in page.take(limit) {
            (seen, last) = (seen + 1, *id);
            let pause_ms = first_pause_ms << order.announced_again.min(MAX_DOUBLINGS);
            if order.announced_again_at.unwrap_or(order.updated_at) < now - pause_ms {
                order.announced_again += 1;
                order.announced_again_at = Some(now);
                late.push(*id);
            }
        }
        let rows =
            self.log.iter().filter(|row| row.status == Status::Received && late.contains(&row.order_id));
        let rows: Vec<i64> = rows.map(|row| row.id).collect();
        LateOrders { next: if seen < limit { 0 } else { last }, announced: self.announce_again(now, &rows) }
    }

    /// One page of `Store::announce_everything`: waiting orders past an id, or (with a window) changes past a log row.
    /// Answers with where the next page begins, how many rows this one has, and how many of them are new in the outbox.
    pub fn announce_page(
        &mut self,
        now: i64,
        window_ms: Option<i64>,
        after: i64,
        limit: usize,
    ) -> (i64, usize, i64) {
        let page: Vec<(i64, i64)> = match window_ms {
            None => {
                let waits = |row: &&LogRow| {
                    row.status == Status::Received && self.orders[&row.order_id].status == Status::Received
                };
                let waiting = self.log.iter().filter(waits).filter(|row| row.order_id > after);
                let mut page: Vec<_> = waiting.map(|row| (row.order_id, row.id)).collect();
                page.sort_unstable();
                page.into_iter().take(limit).collect()
            }
            Some(window_ms) => {
                let seen_at =
                    self.log.iter().find(|row| row.id == after).map_or(i64::MIN, |row| row.changed_at);
                let changes = self.log.iter().filter(|row| {
                    row.status != Status::Received
                        && row.changed_at > now - window_ms
                        && (row.changed_at, row.id) > (seen_at, after)
                });
                let mut page: Vec<_> = changes.map(|row| (row.changed_at, row.id)).collect();
                page.sort_unstable();
                page.into_iter().map(|(_, id)| (id, id)).take(limit).collect()
            }
        };
        let log_ids: Vec<i64> = page.iter().map(|(_, log_id)| *log_id).collect();
        let (last, seen) = (page.last().map_or(0, |(last, _)| *last), page.len());
        (last, seen, self.announce_again(now, &log_ids))
    }

    /// Enters rows in the outbox that are not there; how many those are.
    fn announce_again(&mut self, now: i64, log_ids: &[i64]) -> i64 {
        let mut announced = 0;
        for row in self.log.iter().filter(|row| log_ids.contains(&row.id)) {
            let (order_id, is_order) = (row.order_id, row.status == Status::Received);
            if self.without != Without::Reconciler && !self.outbox.contains_key(&row.id) {
                self.outbox
                    .insert(row.id, OutboxRow { order_id, is_order, created_at: now, locked_by: None });
                announced += 1;
            }
        }
        announced
    }
}

/// The model's time as a date; the day matters to nobody.
fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_000_000_000 + ms).unwrap()
}
