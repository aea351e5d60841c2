//! Portions that are counted: taken in the transaction of the order that they are for.

use std::collections::{BTreeSet, HashMap};

use deadpool_postgres::GenericClient;

use super::StoreError;
use super::columns::IntakeRequest;
use super::convert::get;
use crate::domain::{MenuId, NewOrder};

/// What of the menu these orders are of, each item once.
pub(super) fn items_of<'a>(batch: &[&'a IntakeRequest]) -> Vec<&'a str> {
    let items = batch.iter().flat_map(|request| request.order.items());
    let ids = items.filter_map(|item| item.menu_item_id.as_ref().map(MenuId::as_str));
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether portions of any of these items are counted.
pub(super) async fn are_any_short(client: &impl GenericClient, items: &[&str]) -> Result<bool, StoreError> {
    const SQL: &str =
        "select exists (select from menu_shortages where item_id = any($1) and ends_at > now()) as is_short";
    let statement = client.prepare_cached(SQL).await?;
    get(&client.query_one(&statement, &[&items]).await?, "is_short")
}

/// What is left of some items, which nobody else changes meanwhile.
pub(super) struct Portions {
    left: HashMap<String, u32>,
    /// Of these more than none was taken.
    taken: HashMap<String, u32>,
}

impl Portions {
    pub(super) async fn lock(client: &impl GenericClient, items: &[&str]) -> Result<Self, StoreError> {
        const SQL: &str = "select item_id, remaining from menu_shortages
            where item_id = any($1) and ends_at > now() order by item_id for update";
        let mut left = HashMap::new();
        if items.is_empty() {
            return Ok(Self { left, taken: HashMap::new() });
        }
        let statement = client.prepare_cached(SQL).await?;
        for row in client.query(&statement, &[&items]).await? {
            let remaining: i32 = get(&row, "remaining")?;
            left.insert(get(&row, "item_id")?, u32::try_from(remaining).unwrap_or_default());
        }
        Ok(Self { left, taken: HashMap::new() })
    }

    /// Takes what an order needs; nothing, where that is not there. Then it says which entries are too many, and what is left
    /// for them.
    pub(super) fn take(&mut self, order: &NewOrder) -> Result<(), Vec<(usize, u32)>> {
        let (mut needed, mut short) = (HashMap::<&str, u32>::new(), Vec::new());
        for (index, item) in order.items().iter().enumerate() {
            let Some(id) = item.menu_item_id.as_ref().map(MenuId::as_str) else { continue };
            let Some(left) = self.left.get(id) else { continue };
            let count = needed.entry(id).or_default();
            *count += u32::from(item.quantity);
            if *count > *left {
                short.push((index, *left));
            }
        }
        if !short.is_empty() {
            return Err(short);
        }
        for (id, count) in needed {
            if let Some(left) = self.left.get_mut(id) {
                *left -= count;
                *self.taken.entry(id.to_owned()).or_default() += count;
            }
        }
        Ok(())
    }

    /// Writes what was taken.
    pub(super) async fn write(self, client: &impl GenericClient) -> Result<(), StoreError> {
        const SQL: &str = "update menu_shortages s set remaining = s.remaining - t.taken
            from unnest($1::text[], $2::int[]) as t (item_id, taken) where s.item_id = t.item_id";
        if self.taken.is_empty() {
            return Ok(());
        }
        let (items, taken): (Vec<String>, Vec<i32>) = self
            .taken
            .into_iter()
            .map(|(item, count)| (item, i32::try_from(count).unwrap_or(i32::MAX)))
            .unzip();
        let statement = client.prepare_cached(SQL).await?;
        client.execute(&statement, &[&items, &taken]).await?;
        Ok(())
    }
}
