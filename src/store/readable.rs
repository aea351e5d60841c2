//! Reading many rows of which this version may not know some.

use std::time::{Duration, Instant};

use tokio_postgres::Row;

use super::StoreError;
use daemon::ration::Ration;

/// So often at most is it said that rows were left out: what cannot be read now cannot be read by the next request either.
static SAID: Ration = Ration::new(1, Duration::from_secs(60));

/// What can be read of these rows. One that this version does not know (a newer one's, or changed by hand) is left out and
/// logged: it takes nothing else with it.
pub(super) fn readable<'a, T>(
    rows: impl IntoIterator<Item = &'a Row>,
    read: impl Fn(&'a Row) -> Result<T, StoreError>,
) -> Vec<T> {
    rows.into_iter().filter_map(|row| read(row).inspect_err(leave_out).ok()).collect()
}

/// Says it, unless it was said lately.
fn leave_out(error: &StoreError) {
    let Some(rows) = SAID.next(Instant::now()) else { return };
    let error: &dyn std::error::Error = error;
    tracing::error!(
        action = "row_unreadable",
        error,
        details = format_args!("{rows} since this was said last"),
        "rows that this version cannot read are left out; the others are served"
    );
}
