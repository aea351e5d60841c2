//! What staff has paused: for so long no orders of these types are taken.

use std::time::Duration;

use jiff::Timestamp;

use super::convert::{get, millis, order_type};
use super::{StaffAct, Store, StoreError};
use crate::domain::{OrderType, StaffRole};

impl Store {
    /// The types that are paused now, each until when.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn intake_pauses(&self) -> Result<Vec<(OrderType, Timestamp)>, StoreError> {
        const SQL: &str = "select order_type, ends_at from intake_pauses where ends_at > now()";
        self.run("looking at the pauses", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let rows = client.query(&statement, &[]).await?;
            rows.iter().map(|row| Ok((order_type(row, "order_type")?, get(row, "ends_at")?))).collect()
        })
        .await
    }

    /// Has staff pause these types for so long from now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn pause_intake(
        &self,
        order_types: &[OrderType],
        time: Duration,
        act: &StaffAct<'_>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "
            with paused as (
                insert into intake_pauses (order_type, ends_at)
                select order_type, now() + make_interval(secs => $7::bigint / 1000.0)
                from unnest($6::text[]) as t (order_type) order by order_type
                on conflict (order_type) do update set ends_at = excluded.ends_at
            )
            insert into staff_actions (name, role, action, detail, request_id) values ($1, $2, $3, $4, $5)";
        let StaffAct { by, action, detail, request_id } = act;
        let role = by.role.map(StaffRole::as_str);
        let order_types: Vec<&str> = order_types.iter().map(|order_type| order_type.as_str()).collect();
        self.run("pausing the intake", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
                &[&by.name, &role, action, detail, request_id, &order_types, &millis(time)];
            client.execute(&statement, parameters).await?;
            Ok(())
        })
        .await
    }

    /// Has staff end all pauses.
    ///
    /// # Errors
    /// See [`StoreError`]; safe to repeat.
    pub async fn resume_intake(&self, act: &StaffAct<'_>) -> Result<(), StoreError> {
        const SQL: &str = "
            with resumed as (delete from intake_pauses)
            insert into staff_actions (name, role, action, detail, request_id) values ($1, $2, $3, $4, $5)";
        let StaffAct { by, action, detail, request_id } = act;
        let role = by.role.map(StaffRole::as_str);
        self.run("resuming the intake", async |client| {
            let statement = client.prepare_cached(SQL).await?;
            client.execute(&statement, &[&by.name, &role, action, detail, request_id]).await?;
            Ok(())
        })
        .await
    }
}
