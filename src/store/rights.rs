//! Least privilege: what each role needs in the database, granted to a group role of PostgreSQL for each.
//!
//! An operator makes the group roles (`docs/OPERATIONS.md`, "Accounts in PostgreSQL"), since an owner of a database often may
//! not, and they belong to the whole cluster. Whoever owns the tables grants to those that exist what they lack, with each
//! `migrate` and each start. So a group that is made later, or a database that was restored without its grants, is mended by the
//! next `migrate`; where no group exists, one account for all works as ever.
//!
//! A migration that adds a table or a column adds to [`GRANTS`], in the same commit, what each role does with it; nothing
//! is granted by itself, no column of `orders` to tracking among it. What a role no longer needs is taken out here, and a
//! later migration revokes it, once no version is left that needs it.

use tokio_postgres::{Client, Error};

use super::StoreError;

/// The order service's group, which the operator's commands may use as well (`queues migrate`).
const ORDER: &str = "restaurant_order";
/// The tracking service's, which learns neither names nor addresses, and writes that a session of the staff is used.
const TRACKING: &str = "restaurant_tracking";
/// The kitchen workers'.
const KITCHEN: &str = "restaurant_kitchen";
const GROUPS: &[&str] = &[ORDER, TRACKING, KITCHEN];

/// What one group may do with one table.
struct Grant {
    group: &'static str,
    table: &'static str,
    /// As SQL has them.
    privileges: &'static [&'static str],
    /// With these columns only, where there are any: `a, b`.
    columns: &'static str,
}

const fn on(group: &'static str, table: &'static str, privileges: &'static [&'static str]) -> Grant {
    with(group, table, privileges, "")
}

const fn with(
    group: &'static str,
    table: &'static str,
    privileges: &'static [&'static str],
    columns: &'static str,
) -> Grant {
    Grant { group, table, privileges, columns }
}

/// All of it. To lock a row is to be allowed to update a column of it, whichever: where a role only locks, that is a
/// `created_at`, which nothing reads but what forgets keys.
const GRANTS: &[Grant] = &[
    on(ORDER, "refinery_schema_history", &["select"]),
    on(ORDER, "database_cluster", &["select"]),
    on(ORDER, "orders", &["select", "insert"]),
    with(
        ORDER,
        "orders",
        &["update"],
        "status, updated_at, estimated_completion, announced_again, announced_again_at, attempt, claimed_at, completed_at",
    ),
    on(ORDER, "order_items", &["select", "insert"]),
    on(ORDER, "order_status_log", &["select", "insert"]),
    with(ORDER, "order_status_log", &["update"], "created_at"),
    on(ORDER, "order_counters", &["select", "insert", "update"]),
    on(ORDER, "idempotency_keys", &["select", "insert", "delete"]),
    with(ORDER, "idempotency_keys", &["update"], "created_at"),
    on(ORDER, "outbox", &["select", "insert", "update", "delete"]),
    on(ORDER, "broker_mark", &["select", "insert"]),
    on(ORDER, "database_writes", &["select", "update"]),
    on(ORDER, "staff_sessions", &["select", "insert", "delete"]),
    with(ORDER, "staff_sessions", &["update"], "last_used_at, ended_at"),
    on(ORDER, "staff_actions", &["select", "insert"]),
    on(ORDER, "menu", &["select", "insert", "update"]),
    on(ORDER, "menu_shortages", &["select", "insert", "update", "delete"]),
    on(ORDER, "intake_pauses", &["select", "insert", "update", "delete"]),
    on(ORDER, "intake_quarters", &["select", "insert", "update", "delete"]),
    on(ORDER, "intake_sources", &["select", "insert", "delete"]),
    // The intake tells how long an order would take.
    on(ORDER, "workers", &["select"]),
    on(ORDER, "cooking_times", &["select"]),
    on(TRACKING, "refinery_schema_history", &["select"]),
    on(TRACKING, "database_cluster", &["select"]),
    with(
        TRACKING,
        "orders",
        &["select"],
        "id, number, type, status, priority, total_amount, processed_by, created_at, updated_at, completed_at, \
         claimed_at, estimated_completion",
    ),
    on(TRACKING, "order_status_log", &["select"]),
    // How many dishes an order has, not which.
    with(TRACKING, "order_items", &["select"], "order_id, quantity"),
    on(TRACKING, "cooking_times", &["select"]),
    on(TRACKING, "workers", &["select"]),
    // Where it watches the house.
    with(TRACKING, "outbox", &["select"], "log_id, log_ids, written_at"),
    on(TRACKING, "staff_sessions", &["select"]),
    // A session that is used here alone is in use all the same.
    with(TRACKING, "staff_sessions", &["update"], "last_used_at"),
    on(KITCHEN, "refinery_schema_history", &["select"]),
    on(KITCHEN, "database_cluster", &["select"]),
    on(KITCHEN, "orders", &["select"]),
    with(
        KITCHEN,
        "orders",
        &["update"],
        "status, processed_by, attempt, claimed_at, updated_at, estimated_completion, completed_at",
    ),
    on(KITCHEN, "order_items", &["select"]),
    on(KITCHEN, "order_status_log", &["select", "insert"]),
    on(KITCHEN, "workers", &["select", "insert", "update"]),
    on(KITCHEN, "station_tickets", &["select", "insert", "update"]),
    on(KITCHEN, "station_items", &["select", "insert", "delete"]),
    // Persons log in at a station, and what they do there is kept.
    on(KITCHEN, "staff_sessions", &["select", "insert"]),
    with(KITCHEN, "staff_sessions", &["update"], "last_used_at, ended_at"),
    on(KITCHEN, "staff_actions", &["insert"]),
    on(KITCHEN, "outbox", &["select", "insert", "update", "delete"]),
    on(KITCHEN, "database_writes", &["select", "update"]),
    on(KITCHEN, "cooking_times", &["select", "insert", "update"]),
];

/// The statements that grant what is missing, where all migrations are applied. An owner is told of what the groups lack that
/// exist; anybody else of what itself lacks of the rights of the groups that it is in. Beside the tables it is the schema that
/// they are in, and the numbers of orders, which the order service takes ahead.
const MISSING: &str = "
with asking as (
    select pg_has_role(c.relowner, 'usage') as is_owner, c.relnamespace
    from pg_class c where c.oid = to_regclass('orders')
), grantee as (
    select g.rolname, case when a.is_owner then g.oid else (select oid from pg_roles where rolname = current_user) end as oid
    from pg_roles g, asking a
    where g.rolname = any($1::text[]) and (a.is_owner or pg_has_role(g.oid, 'member'))
), wanted as (
    select grantee, privilege, to_regclass(relation) as relation, string_to_array(columns, ', ') as columns
    from unnest($2::text[], $3::text[], $4::text[], $5::text[]) as w (grantee, privilege, relation, columns)
)
select format('grant usage on schema %I to %I', n.nspname, g.rolname)
from grantee g, asking a join pg_namespace n on n.oid = a.relnamespace
where not has_schema_privilege(g.oid, n.oid, 'usage')
union all
select format('grant usage on sequence %s to %I', numbers, g.rolname)
from grantee g, (select pg_get_serial_sequence('orders', 'id')::regclass) as s (numbers)
where g.rolname = $6 and not has_sequence_privilege(g.oid, numbers, 'usage')
union all
select format('grant %s on %s to %I', w.privilege, w.relation, g.rolname)
from grantee g join wanted w on w.grantee = g.rolname
where w.columns is null and not has_table_privilege(g.oid, w.relation, w.privilege)
union all
select format('grant %s (%s) on %s to %I', w.privilege, string_agg(quote_ident(a.attname), ', '), w.relation, g.rolname)
from grantee g join wanted w on w.grantee = g.rolname
join pg_attribute a on a.attrelid = w.relation and a.attname = any(w.columns) and not a.attisdropped
where not has_column_privilege(g.oid, w.relation, a.attnum, w.privilege)
group by w.privilege, w.relation, g.rolname";

/// Whether this account may change the schema, and read what of it is applied. Where there is none yet whoever may create
/// tables may make it, and owns it then; so does not an account of a role, which old servers let do so as everybody.
const OWN_RIGHTS: &str = "
select current_user::text as account, h.oid is not null as has_history,
       coalesce(has_table_privilege(h.oid, 'select'), false) as reads_history,
       case when h.oid is not null then pg_has_role(h.relowner, 'usage')
            else coalesce(has_schema_privilege(current_schema(), 'create'), false)
                 and (pg_has_role(d.datdba, 'usage') or not exists (
                     select from pg_roles where rolname = any($1::text[]) and pg_has_role(oid, 'member'))) end as may_migrate
from pg_database d left join pg_class h on h.oid = to_regclass('refinery_schema_history')
where d.datname = current_database()";

/// How an account stands to the schema.
#[derive(Debug)]
pub(super) struct AccountRights {
    account: String,
    /// A migration was applied.
    pub(super) has_history: bool,
    /// It may read which.
    pub(super) reads_history: bool,
    /// It owns the tables, or may make them.
    pub(super) may_migrate: bool,
}

impl AccountRights {
    /// Asks for that of the account that is logged in.
    pub(super) async fn of(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(OWN_RIGHTS, &[&GROUPS]).await?;
        Ok(Self {
            account: row.try_get("account")?,
            has_history: row.try_get("has_history")?,
            reads_history: row.try_get("reads_history")?,
            may_migrate: row.try_get("may_migrate")?,
        })
    }

    /// That somebody else has to do something first.
    pub(super) fn awaits(self, lacking: String) -> StoreError {
        StoreError::Unprepared { account: self.account, lacking }
    }
}

/// What is missing, as statements; all migrations are applied.
pub(super) async fn missing(client: &Client) -> Result<Vec<String>, Error> {
    let each =
        GRANTS.iter().flat_map(|grant| grant.privileges.iter().map(move |privilege| (grant, *privilege)));
    let (mut grantees, mut privileges, mut tables, mut columns) = (vec![], vec![], vec![], vec![]);
    for (grant, privilege) in each {
        grantees.push(grant.group);
        privileges.push(privilege);
        tables.push(grant.table);
        columns.push((!grant.columns.is_empty()).then_some(grant.columns));
    }
    let rows = client.query(MISSING, &[&GROUPS, &grantees, &privileges, &tables, &columns, &ORDER]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Grants what is missing, all or nothing; the caller owns the tables, and holds the lock of the migrations. A server that
/// refuses it refuses the roles' own accounts, not the owner's: it is logged, and stops nobody.
pub(super) async fn grant(client: &Client) -> Result<(), Error> {
    let missing = missing(client).await?;
    if missing.is_empty() {
        return Ok(());
    }
    match client.batch_execute(&missing.join(";\n")).await {
        Ok(()) => tracing::info!(
            action = "rights_granted",
            details = missing.join("; "),
            "the roles' groups in PostgreSQL have the rights that they need"
        ),
        Err(error) if error.is_closed() => return Err(error),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                action = "rights_not_granted",
                error,
                details = missing.join("; "),
                "the roles' groups in PostgreSQL lack rights: run `restaurant-system migrate` again, or grant them by hand"
            );
        }
    }
    Ok(())
}
