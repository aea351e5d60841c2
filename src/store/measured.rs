//! How long persons take to cook: measured where their orders are finished, told where one is claimed or waits.
//!
//! It is the time from the claim until an order could be ready, its wait among the station's other tickets with it: that is
//! what an estimate tells, and a station with so many tickets gets through so many orders in that time.

/// An order this many others ago weighs half as much as the last; so many weigh alike at first.
const HALF_LIFE_ORDERS: f64 = 20.0;
/// An order that took so many times what was told counts as that: its ticket was forgotten.
const TIMES_THE_ESTIMATE_MAX: f64 = 4.0;
/// Up to this an order counts in full, however short its estimate is: the kitchen may have become slower.
const COUNTED_IN_FULL_SECONDS: f64 = 600.0;

/// To which class of sizes the order belongs, by its number of dishes, as an expression.
fn size_class(order_id: &str) -> String {
    format!(
        "(select width_bucket(coalesce(sum(i.quantity), 1), '{{2, 3, 5, 9}}'::bigint[]) from order_items i
            where i.order_id = {order_id})"
    )
}

/// How many seconds such an order takes, as an expression: by its size, or else by the nearest size that was measured; null
/// where none of its type was.
pub(super) fn seconds_of(order_id: &str, order_type: &str) -> String {
    format!(
        "(select m.mean_seconds from cooking_times m where m.order_type = {order_type}
        order by abs(m.size_class - {class}), m.size_class desc limit 1)",
        class = size_class(order_id)
    )
}

/// How many seconds orders of a type take, whatever their size, as an expression; null where none was measured.
pub(super) fn seconds_of_type(order_type: &str) -> String {
    format!(
        "(select sum(m.mean_seconds * least(m.orders, {HALF_LIFE_ORDERS})) / sum(least(m.orders, {HALF_LIFE_ORDERS}))
        from cooking_times m where m.order_type = {order_type})"
    )
}

/// Enters how long the `finished` orders took that were `due`, as a common table expression. Only a first attempt is measured:
/// of a later one part of the work was done before. Stations enter theirs in the same order of rows, and wait for each
/// other's commit alone.
pub(super) fn measured() -> String {
    let weight = format!(
        "greatest(excluded.orders::float8 / (m.orders + excluded.orders), 1 - power(0.5, excluded.orders / {HALF_LIFE_ORDERS}::float8))"
    );
    let moved = |column: &str| format!("{column} = m.{column} + {weight} * (excluded.{column} - m.{column})");
    format!(
        "measured as (
    insert into cooking_times as m
        (order_type, size_class, orders, mean_seconds, mean_error_seconds, mean_absolute_error_seconds)
    select type, size_class, count(*), avg(seconds), avg(seconds - promised_seconds), avg(abs(seconds - promised_seconds))
    from (
        select d.type, {class} as size_class, d.promised_seconds,
               least(d.seconds, greatest(d.promised_seconds * {TIMES_THE_ESTIMATE_MAX}, {COUNTED_IN_FULL_SECONDS})) as seconds
        from finished f join due d on d.id = f.id
        where f.attempt = 1 and d.promised_seconds is not null
    ) as each
    group by type, size_class order by type, size_class
    on conflict (order_type, size_class) do update
    set orders = m.orders + excluded.orders, updated_at = now(),
        {seconds},
        {error},
        {absolute}
)",
        class = size_class("f.id"),
        seconds = moved("mean_seconds"),
        error = moved("mean_error_seconds"),
        absolute = moved("mean_absolute_error_seconds"),
    )
}
