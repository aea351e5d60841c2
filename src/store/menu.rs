//! The menu that is in force, and what of it is short.

use std::collections::HashMap;

use jiff::Timestamp;

use super::convert::get;
use super::{StaffAct, Store, StoreError};
use crate::domain::{Menu, MenuId, Shortage, StaffRole};

/// What the database has of the menu.
#[derive(Debug, Clone)]
pub struct MenuLook {
    /// `None` where no menu was ever applied.
    pub version: Option<i64>,
    /// Where it is of another version than the caller has.
    pub menu: Option<Menu>,
    /// By the items' ids.
    pub shortages: HashMap<String, Shortage>,
}

impl Store {
    /// Puts a menu in force. Says its version, or `None` where it is in force already.
    ///
    /// # Errors
    /// See [`StoreError`]; safe to repeat.
    pub async fn apply_menu(&self, menu: &Menu) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "insert into menu as m (content) values ($1::text::jsonb)
            on conflict (is_only) do update
            set version = m.version + 1, applied_at = now(), content = excluded.content
            where m.content is distinct from excluded.content
            returning version";
        let content = serde_json::to_string(menu).map_err(|error| StoreError::Unknown(error.to_string()))?;
        self.run("applying the menu", async |client| {
            let row = client.query_opt(SQL, &[&content]).await?;
            row.map(|row| get(&row, "version")).transpose()
        })
        .await
    }

    /// What is in force now; the menu itself only where it is not the version that is `known`.
    ///
    /// # Errors
    /// See [`StoreError`]; unknown, where a later version of this program has applied what this one cannot read.
    pub async fn look_at_menu(&self, known: Option<i64>) -> Result<MenuLook, StoreError> {
        const SQL: &str = "
            select m.version, case when m.version is distinct from $1 then m.content::text end as content,
                   s.items, s.remaining, s.ends
            from (select) as one left join menu m on true
            cross join (
                select coalesce(array_agg(item_id), '{}') as items, coalesce(array_agg(remaining), '{}') as remaining,
                       coalesce(array_agg(ends_at), '{}') as ends
                from menu_shortages where ends_at > now()
            ) s";
        self.run("looking at the menu", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let row = client.query_one(&statement, &[&known]).await?;
            let content: Option<&str> = get(&row, "content")?;
            let menu = content.map(serde_json::from_str).transpose();
            let (items, remaining, ends): (Vec<String>, Vec<i32>, Vec<Timestamp>) =
                (get(&row, "items")?, get(&row, "remaining")?, get(&row, "ends")?);
            let shortages = remaining.into_iter().zip(ends).map(|(remaining, until)| Shortage {
                remaining: u32::try_from(remaining).unwrap_or_default(),
                until,
            });
            Ok(MenuLook {
                version: get(&row, "version")?,
                menu: menu
                    .map_err(|error| StoreError::Unknown(format!("the menu that is applied: {error}")))?,
                shortages: items.into_iter().zip(shortages).collect(),
            })
        })
        .await
    }

    /// Has staff say how many portions there are of an item, and until when that holds; `None`: as many as are asked for.
    ///
    /// # Errors
    /// See [`StoreError`]; safe to repeat.
    pub async fn set_shortage(
        &self,
        item: &MenuId,
        shortage: Option<Shortage>,
        act: &StaffAct<'_>,
    ) -> Result<(), StoreError> {
        // What is over goes with the next change. The item's own row is written once.
        const SET: &str = "
            with forgotten as (
                delete from menu_shortages where ends_at <= now() and item_id <> $1
            ), set as (
                insert into menu_shortages as s (item_id, remaining, ends_at) values ($1, $7, $8)
                on conflict (item_id) do update set remaining = excluded.remaining, ends_at = excluded.ends_at
            )
            insert into staff_actions (name, role, action, detail, request_id) values ($2, $3, $4, $5, $6)";
        const CLEAR: &str = "
            with cleared as (delete from menu_shortages where item_id = $1)
            insert into staff_actions (name, role, action, detail, request_id) values ($2, $3, $4, $5, $6)";
        let StaffAct { by, action, detail, request_id } = act;
        let (item, role) = (item.as_str(), by.role.map(StaffRole::as_str));
        self.run("changing what is short", async |client| {
            match shortage {
                Some(Shortage { remaining, until }) => {
                    let remaining = i32::try_from(remaining).unwrap_or(i32::MAX);
                    let statement = client.prepare_cached(SET).await?;
                    client
                        .execute(
                            &statement,
                            &[&item, &by.name, &role, action, detail, request_id, &remaining, &until],
                        )
                        .await?
                }
                None => {
                    let statement = client.prepare_cached(CLEAR).await?;
                    client.execute(&statement, &[&item, &by.name, &role, action, detail, request_id]).await?
                }
            };
            Ok(())
        })
        .await
    }
}
