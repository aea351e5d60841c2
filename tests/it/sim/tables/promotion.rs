//! What waits, and what of it goes first.

use super::{Order, Tables, Without};
use restaurant_system::domain::{OrderType, Priority, Status, WorkerName};
use restaurant_system::store::{Claim, ClaimedOrder};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

fn is_promoted(now: i64, order: &Order, claim: &Claim) -> bool {
    order.created_at < now - i64::try_from(claim.promote_after.as_millis()).unwrap()
}

impl Tables {
    /// `CLAIMABLE`
    pub(super) fn is_claimable(&self, now: i64, order: &Order, worker: &WorkerName) -> bool {
        match order.status {
            Status::Received => true,
            Status::Cooking => {
                order.claimed_at.is_none()
                    || order.processed_by.as_deref() != Some(worker.as_str())
                        && !order.processed_by.as_ref().is_some_and(|holder| self.is_alive(now, holder))
            }
            _ => false,
        }
    }

    /// `Store::claim_overdue`
    pub fn claim_overdue(
        &mut self,
        now: i64,
        claim: &Claim,
        grace_ms: i64,
        limit: usize,
    ) -> Vec<ClaimedOrder> {
        if self.without == Without::Sweep {
            return Vec::new();
        }
        let promotes = self.without != Without::Promotion;
        let mut waiting: Vec<_> = self
            .orders
            .iter()
            .map(|(id, order)| (promotes && is_promoted(now, order, claim), *id, order))
            .filter(|(promoted, _, order)| {
                claim.order_types.contains(&order.form.order_type())
                    && self.is_claimable(now, order, &claim.worker)
                    && (order.status == Status::Cooking || *promoted || order.updated_at < now - grace_ms)
            })
            .map(|(promoted, id, order)| {
                (Reverse(promoted), (!promoted).then_some(Reverse(order.form.priority())), id)
            })
            .collect();
        waiting.sort_unstable();
        let picked: Vec<i64> = waiting.into_iter().take(limit).map(|(.., id)| id).collect();
        self.writes.tick(now);
        self.take(now, claim, &picked)
    }

    /// `Store::claim_promoted`
    pub fn claim_promoted(&mut self, now: i64, claim: &Claim, limit: usize) -> Vec<ClaimedOrder> {
        if self.without == Without::Promotion {
            return Vec::new();
        }
        let promoted = self.orders.iter().filter(|(_, order)| {
            order.status == Status::Received
                && claim.order_types.contains(&order.form.order_type())
                && is_promoted(now, order, claim)
        });
        let picked: Vec<i64> = promoted.map(|(id, _)| *id).take(limit).collect();
        self.take(now, claim, &picked)
    }

    /// `Store::promotion_due`
    pub fn promotion_due(&self, now: i64, claim: &Claim) -> Option<Duration> {
        let mut oldest: BTreeMap<(OrderType, Priority), i64> = BTreeMap::new();
        for order in self.orders.values().filter(|order| order.status == Status::Received) {
            let order_type = order.form.order_type();
            if claim.order_types.contains(&order_type) {
                oldest.entry((order_type, order.form.priority())).or_insert(order.created_at);
            }
        }
        let waited = u64::try_from(now - oldest.values().min()?).unwrap();
        Some(claim.promote_after.saturating_sub(Duration::from_millis(waited)))
    }

    /// Nobody passes over an order that is promoted: neither for one that is not, nor for one that was placed later.
    pub(super) fn check_promotion(&mut self, now: i64, claim: &Claim, picked: &[i64]) {
        let Some(slack_ms) = self.promotion_slack_ms else { return };
        let long_ago = now - slack_ms;
        for id in picked {
            let taken = &self.orders[id];
            let passed_over = self.orders.iter().find(|(other, order)| {
                order.created_at < taken.created_at
                    && order.status == Status::Received
                    && claim.order_types.contains(&order.form.order_type())
                    && is_promoted(long_ago, order, claim)
                    && !picked.contains(other)
            });
            if let Some((_, order)) = passed_over {
                let (number, since) = (&order.number, now - order.created_at);
                self.violations.push(format!(
                    "{} takes {} while {number} has waited for {since} ms",
                    claim.worker, taken.number
                ));
            }
        }
    }
}
