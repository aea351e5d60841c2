//! tmp
use std::time::Duration;
/// tmp
#[derive(Debug)]
pub struct Backoff(Duration, Duration, Duration);
impl Backoff {
    /// tmp
    pub fn new(a: Duration, b: Duration) -> Self {
        Self(a, b, a)
    }
    /// tmp
    pub fn next_delay(&mut self) -> Duration {
        let d = self.2;
        self.2 = (d * 2).min(self.1);
        d
    }
    /// tmp
    pub fn reset(&mut self) {
        self.2 = self.0;
    }
}
