-- Whether orders are taken, and how many. New tables: the versions before do not know them.

-- What staff has paused.
create table intake_pauses (
    order_type text        primary key,
    ends_at    timestamptz not null,

    constraint intake_pauses_type_known check (order_type in ('dine_in', 'takeout', 'delivery'))
);

-- How many orders were taken in a quarter of an hour, where that has a bound. Its row is locked until their commit.
create table intake_quarters (
    begins_at timestamptz primary key,
    orders    integer     not null,

    constraint intake_quarters_orders check (orders >= 0)
);

-- From where open orders came, where so many of one source are taken and no more. A table is the number below 0; an address is
-- 24 bits of its hash, which some 256 addresses share. Rows of orders that are settled are forgotten.
create table intake_sources (
    order_id bigint  primary key,
    source   integer not null
);

create index intake_sources_source on intake_sources (source);
