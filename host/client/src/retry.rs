//! When to try again, and after how long.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often and how patiently a request is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many times a request is sent at most, the first time included. A transfer that moved on starts counting anew.
    pub tries: u32,
    /// The pause before the second try. It doubles with each further one, except where the host can't be reached at all, and
    /// varies by a quarter so that clients do not come back in step.
    pub first_pause: Duration,
    /// The longest pause that doubling leads to.
    pub longest_pause: Duration,
    /// The longest pause that a registry can ask for with `Retry-After`.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// Five tries over about eight seconds, or two where nobody listens; a registry may ask for pauses of two minutes.
    fn default() -> Self {
        RetryPolicy {
            tries: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            longest_retry_after: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after the `failures`th failure in a row (from 1), or `None` when the budget is used up. `hardship` of them
    /// call for more patience: each after the first doubles the pause.
    pub(crate) fn pause(&self, failures: u32, hardship: u32, asked: Option<Duration>) -> Option<Duration> {
        self.pause_with(failures, hardship, asked, fastrand::f64())
    }

    /// As [`RetryPolicy::pause`], with the random number in 0..1 given.
    fn pause_with(&self, failures: u32, hardship: u32, asked: Option<Duration>, random: f64) -> Option<Duration> {
        if failures >= self.tries {
            return None;
        }
        let doublings = hardship.saturating_sub(1).min(30);
        let plain = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
        let own = plain.mul_f64(0.75 + random / 2.0);
        let asked = asked.map(|asked| asked.min(self.longest_retry_after));
        Some(asked.map_or(own, |asked| asked.max(own)))
    }
}

/// Whether an answer may be different the next time: crane's table, see `research/crane.md` section 4.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

/// The pause that `Retry-After` asks for, in seconds or as a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_end() {
        let policy = RetryPolicy {
            tries: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(3),
            longest_retry_after: Duration::from_secs(60),
        };
        let seconds = |s| Some(Duration::from_secs(s));
        for (failures, asked, pause) in [
            (1, None, seconds(1)),
            (2, None, seconds(2)),
            (3, None, seconds(3)),
            (4, None, seconds(3)),
            (5, None, None),
            (1, seconds(7), seconds(7)),
            (1, seconds(0), seconds(1)),
            (1, seconds(9999), seconds(60)),
            (5, seconds(7), None),
        ] {
            assert_eq!(policy.pause_with(failures, failures, asked, 0.5), pause);
        }
        assert_eq!(policy.pause_with(1, 1, None, 0.0), Some(Duration::from_millis(750)));
        // Nobody listens: as often, but at an even pace.
        assert_eq!(policy.pause_with(4, 0, None, 0.5), seconds(1));
        assert_eq!(policy.pause_with(5, 0, None, 0.5), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, expected) in [
            ("3", Some(3)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
    }
}
