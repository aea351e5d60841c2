-- How long persons take to cook. A new table: the versions before do not know it.

create table cooking_times (
    order_type                  text             not null,
    -- by how many dishes the order has: 0 for one, 1 for two, 2 for 3 to 4, 3 for 5 to 8, 4 for more
    size_class                  integer          not null,
    -- how many were measured
    orders                      bigint           not null,
    -- from the claim until it could be ready, and how much longer that was than its estimate; the latest orders weigh most
    mean_seconds                double precision not null,
    mean_error_seconds          double precision not null,
    mean_absolute_error_seconds double precision not null,
    updated_at                  timestamptz      not null default now(),

    primary key (order_type, size_class),
    constraint cooking_times_type_known check (order_type in ('dine_in', 'takeout', 'delivery')),
    constraint cooking_times_size_class_known check (size_class between 0 and 4),
    constraint cooking_times_orders_positive check (orders > 0),
    constraint cooking_times_seconds_not_negative check (mean_seconds >= 0 and mean_absolute_error_seconds >= 0)
);
