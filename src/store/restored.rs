//! A database that was restored from a dump into another cluster. The order of events is (transaction, row), read up to
//! the oldest running transaction, and each cluster numbers its transactions anew: the log's numbers of the old cluster
//! may lie ahead of the new one's, where no reader would ever come. They are set to 0, which lies before all of the new
//! cluster's; what happened there is then in the order of the rows.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// One look-up by an index, and three rows.
const CLUSTERS: &str = "
select present.system_identifier as present, noted.system_identifier as noted,
       exists (
           select from order_status_log
           where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
       ) as is_ahead
from pg_control_system() as present left join database_cluster as noted on true";

/// Rows of the log that one statement settles. Triggers keep all rows of a statement, and lock their orders.
const PAGE_ROWS: i64 = 10_000;

/// From the end of the index on, so that the rows that are settled already are never passed by.
const SETTLE: &str = "
update order_status_log set transaction_id = 0
where id in (
    select id from order_status_log where transaction_id > 0 order by transaction_id desc, id desc limit $1
)";

const NOTE: &str = "
insert into database_cluster (system_identifier) values ($1)
on conflict (only_row) do update set system_identifier = excluded.system_identifier, noted_at = now()";

/// What is to be done about the cluster that a database is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// Nothing: it is the one that is noted.
    Known,
    /// It is to be noted; the log is as it should be.
    New(i64),
    /// The log's transactions are those of another one.
    Other(i64),
}

/// Compares the cluster with the one that is noted in the database.
pub(super) async fn cluster_of(client: &Client) -> Result<Cluster, Error> {
    let row = client.query_one(CLUSTERS, &[]).await?;
    let (present, noted): (i64, Option<i64>) = (row.try_get("present")?, row.try_get("noted")?);
    Ok(match noted {
        _ if row.try_get("is_ahead")? => Cluster::Other(present),
        Some(noted) if noted == present => Cluster::Known,
        Some(_) => Cluster::Other(present),
        None => Cluster::New(present),
    })
}

/// Makes the database one of its cluster; the caller holds the lock of the migrations. Says how many changes it had to be
/// done for. A death in here leaves the rest to the next start: the cluster is noted last.
pub(super) async fn settle(client: &Client) -> Result<u64, Error> {
    let (system_identifier, is_restored) = match cluster_of(client).await? {
        Cluster::Known => return Ok(0),
        Cluster::New(identifier) => (identifier, false),
        Cluster::Other(identifier) => (identifier, true),
    };
    let mut settled = 0;
    if is_restored {
        loop {
            match client.execute(SETTLE, &[&PAGE_ROWS]).await? {
                0 => break,
                rows => settled += rows,
            }
        }
    }
    client.execute(NOTE, &[&system_identifier]).await?;
    if is_restored {
        tracing::warn!(
            action = "restored_database_settled",
            details = settled,
            "the database was restored from another cluster: its event stream is in order again"
        );
    }
    Ok(settled)
}

/// Whether a role is refused what only the schema's owner may do.
pub(super) fn is_forbidden(error: &Error) -> bool {
    error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)
}
