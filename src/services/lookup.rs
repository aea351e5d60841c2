//! Finding an order by the number in a request's path, alike in both HTTP roles.

use http_kit::Problem;

use crate::domain::OrderNumber;

/// Reads the number; what is no order number names no order.
pub(super) fn order_number_in_path(text: &str) -> Result<OrderNumber, Problem> {
    OrderNumber::parse(text).map_err(|_| Problem::not_found("there is no such order"))
}

/// The answer where there is no order of this number.
pub(super) fn no_such_order(number: &OrderNumber) -> Problem {
    Problem::not_found(format!("there is no order {number}"))
}
