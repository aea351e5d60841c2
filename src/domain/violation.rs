//! A rule that an order breaks.

/// One rule that an order breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending value, such as `/items/0/price`.
    pub pointer: String,
    /// What is wrong, as the end of a sentence that begins with the field.
    pub detail: String,
}

impl Violation {
    pub(super) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}
