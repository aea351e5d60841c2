//! `migrations/schema.sql`, which people read, against what the migrations make.

use crate::support::TestEnv;
use std::collections::BTreeSet;
use tokio_postgres::Client;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/schema.sql");
/// Where the file's tables are made, beside the migrated ones.
const OF_FILE: &str = "of_file";
const MIGRATED: &str = "public";

/// Each property of the tables, indexes, triggers and functions of the first schema of the search path, one a line. What
/// keeps the history of the migrations is theirs. Rights are left out: they name accounts. `not null` is said of the column;
/// some versions of PostgreSQL have a constraint for it, too.
const PROPERTIES: &str = "
with tables as (
    select c.oid, c.relname, c.reloptions from pg_class c
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and c.relname <> 'refinery_schema_history'
)
select format('table %s with %s', relname, reloptions) from tables
union all
select format('column %s.%s %s%s%s%s', t.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              case when a.attnotnull then ' not null' end,
              ' default ' || pg_get_expr(d.adbin, d.adrelid),
              case a.attidentity when 'd' then ' by default as identity' when 'a' then ' always as identity' end)
from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
union all
select format('constraint %s on %s %s', n.conname, t.relname, pg_get_constraintdef(n.oid, true))
from tables t join pg_constraint n on n.conrelid = t.oid and n.contype <> 'n'
union all
select format('index %s', pg_get_indexdef(i.indexrelid, 0, true))
from tables t join pg_index i on i.indrelid = t.oid
union all
select format('trigger %s', pg_get_triggerdef(g.oid, true))
from tables t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
union all
select pg_get_functiondef(p.oid) from pg_proc p where p.pronamespace = current_schema()::regnamespace
union all
select format('view %s', c.relname) from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('v', 'm', 'f', 'p')";

async fn properties(db: &Client, schema: &str) -> BTreeSet<String> {
    db.batch_execute(&format!("set search_path = {schema}")).await.unwrap();
    let rows = db.query(PROPERTIES, &[]).await.unwrap();
    let qualified = format!("{schema}.");
    rows.iter().map(|row| row.get::<_, String>(0).replace(&qualified, "")).collect()
}

#[tokio::test]
async fn the_schema_file_is_what_the_migrations_make() {
    let env = TestEnv::new().await;
    let db = env.connect().await;
    let schema = std::fs::read_to_string(FILE).unwrap();
    let load = format!("create schema {OF_FILE}; set search_path = {OF_FILE}; {schema}");
    db.batch_execute(&load).await.unwrap();
    let (file, migrated) = (properties(&db, OF_FILE).await, properties(&db, MIGRATED).await);
    assert!(
        migrated.iter().any(|line| line.starts_with("column orders.number text not null")),
        "{migrated:?}"
    );
    let list = |lines: Vec<&String>| lines.into_iter().map(|line| format!("  {line}\n")).collect::<String>();
    let (lacking, too_much) =
        (list(migrated.difference(&file).collect()), list(file.difference(&migrated).collect()));
    assert!(
        lacking.is_empty() && too_much.is_empty(),
        "migrations/schema.sql lacks\n{lacking}and has what no migration makes\n{too_much}"
    );
}
