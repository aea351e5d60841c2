//! A PostgreSQL that somebody set up for other programs: what the roles set on their connections, what they refuse, and
//! what they say of it.

mod encoding;
mod log_in;
mod pooler;
mod rights;
mod settings;

use crate::support::{Http, Role, TestEnv};
use tokio_postgres::Client;

/// Keeps with each order what holds in the transaction that writes it.
async fn watch_settings(db: &Client) {
    db.batch_execute(
        "create table seen (name text, setting text);
         grant insert on seen to public;
         create function see() returns trigger language plpgsql as $$
         begin
             insert into seen select name, current_setting(name)
             from unnest(array['synchronous_commit', 'transaction_isolation', 'enable_seqscan', 'lock_timeout']) as name;
             return null;
         end $$;
         create trigger see after insert on orders for each statement execute function see()",
    )
    .await
    .unwrap();
}

/// What this setting was when the last order was written.
async fn seen(db: &Client, name: &str) -> String {
    db.query_one("select setting from seen where name = $1 order by ctid desc limit 1", &[&name])
        .await
        .unwrap()
        .get(0)
}

/// An order service that has its database.
async fn order_service(env: &TestEnv) -> (Role, Http) {
    let role = env.spawn(&["order-service", "--port", "0"]);
    role.wait_for_action("db_connected").await;
    let http = Http::of(&role).await;
    (role, http)
}
