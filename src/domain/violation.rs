//! Rules that an order breaks.

/// One rule that an order breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to the offending value, such as `/items/0/price`.
    pub pointer: String,
    /// What is wrong, as the end of a sentence that begins with the field.
    pub detail: String,
    pub kind: ViolationKind,
}

/// Whether the customer has to change the order, or only to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    Rule,
    /// The price is another one than the customer was shown.
    PriceChanged,
}

impl Violation {
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), kind: ViolationKind::Rule }
    }
}
