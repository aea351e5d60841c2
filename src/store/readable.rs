//! Reading many rows of which this version may not know some.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Row;

use super::StoreError;

/// So often at most is it said that rows were left out: what cannot be read now cannot be read by the next request either.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// When it was said last, by this process, and how many were left out since.
static LEFT_OUT: Mutex<LeftOut> = Mutex::new(LeftOut { said_at: None, rows: 0 });

struct LeftOut {
    said_at: Option<Instant>,
    rows: usize,
}

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
    let rows = {
        // Whole at every panic.
        let mut left_out = LEFT_OUT.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.rows += 1;
        if left_out.said_at.is_some_and(|said_at| said_at.elapsed() < SAID_EVERY) {
            return;
        }
        left_out.said_at = Some(Instant::now());
        std::mem::take(&mut left_out.rows)
    };
    let error: &dyn std::error::Error = error;
    tracing::error!(
        action = "row_unreadable",
        error,
        details = format_args!("{rows} since this was said last"),
        "rows that this version cannot read are left out; the others are served"
    );
}
