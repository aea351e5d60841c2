//! What staff does, on both sides.

use super::{HOUR_MS, Pair};
use crate::support::token_act;
use restaurant_system::domain::{OrderNumber, Status};
use restaurant_system::store::{StaffAct, StaffChange};
use std::time::Duration;

impl Pair {
    pub async fn staff(&mut self) -> &'static str {
        // The kitchen brings an order to the others.
        let ends: Vec<Status> =
            Status::ALL.into_iter().filter(|to| to.is_settled() && *to != Status::Ready).collect();
        let to = self.rng.choice(ends).unwrap();
        let fits = self.model.orders.values().filter(|order| order.status.may_become(to));
        let fits: Vec<OrderNumber> = fits.map(|order| order.number.clone()).collect();
        let some = self.some_number();
        let number = if self.rng.bool() { some } else { self.rng.choice(fits).unwrap_or(some) };
        let detail = self.rng.choice([None, Some("why")]).flatten();
        let mut change = StaffChange::new(to, StaffAct { detail, ..token_act() });
        if self.rng.u8(0..4) == 0 {
            change.from.truncate(1);
        }
        let expected = self.model.move_order(self.now, &number, &change);
        assert_eq!(self.real.move_order(&number, &change).await.unwrap(), expected);
        "staff"
    }

    pub async fn recall(&mut self) -> &'static str {
        let ready = self.model.orders.values().filter(|order| order.status == Status::Ready);
        let ready: Vec<OrderNumber> = ready.map(|order| order.number.clone()).collect();
        let some = self.some_number();
        let number = if self.rng.u8(0..3) == 0 { some } else { self.rng.choice(ready).unwrap_or(some) };
        let within_ms = if self.rng.u8(0..4) == 0 { 0 } else { HOUR_MS };
        let within = Duration::from_millis(within_ms.unsigned_abs());
        let expected = self.model.recall_order(self.now, &number, &token_act(), within_ms);
        assert_eq!(self.real.recall_order(&number, &token_act(), within).await.unwrap(), expected);
        "recall"
    }
}
