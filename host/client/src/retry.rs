//! When to try again, and after how long.

use std::time::Duration;

/// How often and how patiently a request is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many times a request is sent at most, the first time included. A transfer that moved on starts counting anew.
    pub tries: u32,
    /// The pause before the second try. It doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause that doubling leads to.
    pub longest_pause: Duration,
    /// The longest pause that a registry can ask for with `Retry-After`.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// Five tries over about eight seconds; a registry may ask for pauses of two minutes.
    fn default() -> Self {
        RetryPolicy {
            tries: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            longest_retry_after: Duration::from_secs(120),
        }
    }
}
