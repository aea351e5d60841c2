//! What a person can do about a trouble, in the program's own words.

/// Ends of texts: the client knows what is wrong, and the program which of its commands helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// A queue or an exchange exists with other arguments.
    pub conflict: &'static str,
    /// The user lacks a right.
    pub not_permitted: &'static str,
    /// What becomes of the program's work while the server's alarm is on.
    pub blocked: &'static str,
    /// What becomes of it while a queue cannot be consumed.
    pub not_consumed: &'static str,
    /// No dead letter is taken any more.
    pub dead_letters_full: &'static str,
}

impl Default for Advice {
    fn default() -> Self {
        Self {
            conflict: "delete it, so that it is made anew, or configure the same rabbitmq.queue_type",
            not_permitted: "grant the user the right",
            blocked: "what is to be published waits",
            not_consumed: "what is in it waits",
            dead_letters_full: "look at them, and remove some",
        }
    }
}
