//! The statements about the outbox: what is committed and not yet announced, or to be announced again.

use super::{LogRow, Tables, Without};
use jiff::Timestamp;
use restaurant_system::domain::{OrderMessage, Status, StatusUpdate};
use restaurant_system::store::{Announcement, AnnouncementContent, LateOrders};
use std::collections::{BTreeMap, BTreeSet};

/// After so many repetitions the pause doubles no more (`store/reconcile.rs`).
const MAX_DOUBLINGS: u32 = 6;

/// What one statement announces.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Orders by their log row.
    pub changes: BTreeMap<i64, i64>,
    /// Written as a row of many, which may hold a single change.
    pub of_many: bool,
    pub is_order: bool,
    pub written_at: i64,
    /// The batch that has it locked.
    pub locked_by: Option<u64>,
}

impl OutboxRow {
    /// A row for a single change.
    pub fn of_one(log_id: i64, order_id: i64, is_order: bool, now: i64) -> Self {
        let changes = BTreeMap::from([(log_id, order_id)]);
        Self { changes, of_many: false, is_order, written_at: now, locked_by: None }
    }
}

/// Outbox rows that one relay has locked.
#[derive(Debug)]
pub struct LockedBatch {
    pub lock: u64,
    pub announcements: Vec<Announcement>,
    pub locked: usize,
}

impl Tables {
    /// `announce_logged`
    pub fn announce(&mut self, now: i64, is_order: bool, changes: BTreeMap<i64, i64>) {
        if let Some(first) = changes.keys().next().copied() {
            let row = OutboxRow { changes, of_many: true, is_order, written_at: now, locked_by: None };
            self.outbox.insert(first, row);
        }
    }

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
            row.locked_by.is_none() && (!row.is_order || row.written_at <= now - orders_after_ms)
        };
        let free = self.outbox.iter().filter(|(id, row)| free(row) && !passed_over.contains(id));
        let (mut rows, mut locked) = (BTreeSet::new(), 0);
        for (id, row) in free {
            if locked >= limit {
                break;
            }
            rows.insert(*id);
            locked += row.changes.len();
        }
        // The oldest change of each order that is open in a row of somebody else.
        let mut open_elsewhere: BTreeMap<i64, i64> = BTreeMap::new();
        for (id, row) in &self.outbox {
            for (log_id, order_id) in row.changes.iter().filter(|_| !row.is_order && !rows.contains(id)) {
                let oldest = open_elsewhere.entry(*order_id).or_insert(*log_id);
                *oldest = *log_id.min(oldest);
            }
        }
        let mut announcements = Vec::new();
        for row in rows.iter().map(|id| &self.outbox[id]) {
            for (log_id, order_id) in &row.changes {
                if row.is_order || open_elsewhere.get(order_id).is_none_or(|open| log_id < open) {
                    announcements.push(self.announcement(*log_id, *order_id, row.is_order));
                }
            }
        }
        announcements.sort_by_key(|announcement| announcement.log_id);
        // What holds nothing to announce is let go at once.
        for id in rows.iter().filter(|_| !announcements.is_empty()) {
            if let Some(row) = self.outbox.get_mut(id) {
                row.locked_by = Some(lock);
            }
        }
        LockedBatch { lock, announcements, locked }
    }

    fn announcement(&self, log_id: i64, order_id: i64, is_order: bool) -> Announcement {
        let order = &self.orders[&order_id];
        let logged = self.log.iter().find(|logged| logged.id == log_id).unwrap();
        let content = if is_order {
            AnnouncementContent::Order(OrderMessage::of(&order.number, &order.form))
        } else {
            AnnouncementContent::Status(StatusUpdate {
                order_number: order.number.to_string(),
                old_status: logged.previous.map(|status| status.to_string()),
                new_status: logged.status.to_string(),
                changed_by: logged.changed_by.clone(),
                timestamp: timestamp(logged.changed_at),
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
        let held = self.outbox.iter().filter(|(_, row)| row.locked_by == Some(lock));
        let held: Vec<i64> = held.map(|(id, _)| *id).collect();
        for id in held {
            let Some(mut row) = self.outbox.remove(&id) else { continue };
            row.locked_by = None;
            let before = row.changes.len();
            row.changes.retain(|log_id, _| !published.contains(log_id));
            if row.changes.len() == before {
                self.outbox.insert(id, row);
                continue;
            }
            for (log_id, order_id) in row.changes {
                let left = OutboxRow::of_one(log_id, order_id, row.is_order, row.written_at);
                self.outbox.entry(log_id).or_insert(left);
            }
        }
    }

    /// The order of a log row that is still to be announced.
    pub fn open(&self, log_id: i64) -> Option<i64> {
        self.outbox.values().find_map(|row| row.changes.get(&log_id).copied())
    }

    /// `Store::outbox_rows`
    pub fn outbox_rows(&self, limit: i64) -> i64 {
        let rows = self.outbox.values().take(usize::try_from(limit).unwrap());
        i64::try_from(rows.map(|row| row.changes.len()).sum::<usize>()).unwrap().min(limit)
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
                let late = self.log.iter().filter(|row| {
                    row.status != Status::Received && row.changed_at > now - window_ms && row.id > after
                });
                late.map(|row| (row.id, row.id)).take(limit).collect()
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
            if self.without != Without::Reconciler && self.open(row.id).is_none() {
                let is_order = row.status == Status::Received;
                self.outbox.insert(row.id, OutboxRow::of_one(row.id, row.order_id, is_order, now));
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
