-- The cluster in which the log's transaction_ids were given, by its system identifier (pg_control_system). A dump that is
-- restored into another cluster brings the identifier of the one that it came from, and transaction_ids that mean nothing
-- there: the program's next start finds that and settles it (store/restored.rs).
create table database_cluster (
    only_row          boolean     primary key default true check (only_row),
    system_identifier bigint      not null,
    noted_at          timestamptz not null default now()
);
