-- The menu that is in force, and what of it is short. Two new tables: the versions before do not know them.

-- One row at most. A menu that replaces another counts the version up, by which a service sees that it has to read it anew.
create table menu (
    is_only    boolean     primary key default true,
    version    bigint      not null default 1,
    applied_at timestamptz not null default now(),
    content    jsonb       not null,

    constraint menu_one_row check (is_only)
);

-- Items of which there are only so many portions, or none, until a moment.
create table menu_shortages (
    item_id   text        primary key,
    remaining integer     not null,
    ends_at   timestamptz not null,

    constraint menu_shortages_remaining check (remaining >= 0)
);
