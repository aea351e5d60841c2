//! Between rows and domain types.

use std::str::FromStr;

use tokio_postgres::types::FromSql;
use tokio_postgres::{Row, SimpleQueryMessage, SimpleQueryRow};

use super::StoreError;
use crate::domain::{OFFLINE_AFTER_INTERVALS, OrderNumber, OrderType, Priority, Status};

/// A column's value. A column of another type or name is a bug that the tests meet; it is an error all the same.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Result<T, StoreError> {
    row.try_get(column).map_err(|e| StoreError::Unknown(format!("column {column}: {e}")))
}

fn parse<T: FromStr>(row: &Row, column: &str) -> Result<T, StoreError> {
    let text: &str = get(row, column)?;
    text.parse().map_err(|_| StoreError::Unknown(format!("{column} is {text:?}")))
}

pub(super) fn status(row: &Row, column: &str) -> Result<Status, StoreError> {
    parse(row, column)
}

/// A column that may be null.
pub(super) fn status_option(row: &Row, column: &str) -> Result<Option<Status>, StoreError> {
    let text: Option<&str> = get(row, column)?;
    text.map(|_| status(row, column)).transpose()
}

pub(super) fn order_type(row: &Row, column: &str) -> Result<OrderType, StoreError> {
    parse(row, column)
}

pub(super) fn order_number(row: &Row, column: &str) -> Result<OrderNumber, StoreError> {
    let text: &str = get(row, column)?;
    OrderNumber::parse(text).map_err(|_| StoreError::Unknown(format!("{column} is {text:?}")))
}

pub(super) fn priority(row: &Row, column: &str) -> Result<Priority, StoreError> {
    let value: i32 = get(row, column)?;
    u8::try_from(value)
        .map(Priority::from_stored)
        .map_err(|_| StoreError::Unknown(format!("{column} is {value}")))
}

/// An integer column that the schema keeps within the narrower type.
pub(super) fn narrow_option<T: TryFrom<i32>>(row: &Row, column: &str) -> Result<Option<T>, StoreError> {
    let value: Option<i32> = get(row, column)?;
    value
        .map(|value| T::try_from(value).map_err(|_| StoreError::Unknown(format!("{column} is {value}"))))
        .transpose()
}

pub(super) fn type_names(types: &[OrderType]) -> Vec<&'static str> {
    types.iter().map(|t| t.as_str()).collect()
}

/// The statuses of which this is true.
pub(super) fn status_names(is_meant: impl Fn(Status) -> bool) -> Vec<&'static str> {
    Status::ALL.into_iter().filter(|status| is_meant(*status)).map(Status::as_str).collect()
}

/// The same between the quotes of a statement's `in ('…')`, where the planner sees which they are: it takes a partial index
/// only then.
pub(super) fn quoted_statuses(is_meant: impl Fn(Status) -> bool) -> String {
    status_names(is_meant).join("', '")
}

/// The first row of a simple query's answer, which is text.
pub(super) fn first_row(answer: &[SimpleQueryMessage]) -> Option<&SimpleQueryRow> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// [`OFFLINE_AFTER_INTERVALS`] for an `int` parameter.
pub(super) fn offline_after() -> i32 {
    i32::try_from(OFFLINE_AFTER_INTERVALS).unwrap_or(i32::MAX)
}

/// Milliseconds of a duration for a `bigint` parameter; beyond 292 million years it is capped.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
