//! The backlog, and what of it goes first, on both sides.

use super::{DAY_MS, Pair};
use restaurant_system::store::KitchenStore;
use std::time::Duration;

impl Pair {
    pub async fn claim_overdue(&mut self) -> &'static str {
        let (claim, limit) = (self.claimant(), self.rng.u8(1..4));
        let grace = if self.rng.bool() { Duration::ZERO } else { Duration::from_secs(3600) };
        let grace_ms = i64::try_from(grace.as_millis()).unwrap();
        let expected = self.model.claim_overdue(self.now, &claim, grace_ms, usize::from(limit));
        let found = self.real.claim_overdue(&claim, grace, i64::from(limit)).await.unwrap();
        self.claimed(&claim, expected, found);
        "claim what is overdue"
    }

    pub async fn claim_promoted(&mut self) -> &'static str {
        let (claim, limit) = (self.claimant(), self.rng.u8(1..4));
        let due = self.real.promotion_due(&claim).await.unwrap();
        let expected = self.model.promotion_due(self.now, &claim);
        assert_eq!(due.map(|due| due.is_zero()), expected.map(|due| due.is_zero()));
        let expected = self.model.claim_promoted(self.now, &claim, usize::from(limit));
        let found = self.real.claim_promoted(&claim, i64::from(limit)).await.unwrap();
        self.claimed(&claim, expected, found);
        "claim what is promoted"
    }

    /// Everything that there is was placed a day ago, or the older half of it.
    pub async fn promote(&mut self) -> &'static str {
        let ids: Vec<i64> = self.model.orders.keys().copied().collect();
        let old = ids.len() / self.rng.usize(1..3);
        for (id, order) in self.model.orders.iter_mut().take(old) {
            let sql = "update orders set created_at = now() - interval '1 day' where number = $1";
            self.db.execute(sql, &[&order.number.as_str()]).await.unwrap();
            order.created_at = self.now - DAY_MS + *id;
        }
        "old orders"
    }
}
