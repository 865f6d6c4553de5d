//! Times in an image: the same inputs give the same ones, whenever and wherever it is built.

use steprun_ports::{Failure, Timestamp};

/// 1970-01-01T00:00:00Z.
const START: Timestamp = Timestamp { seconds: 0, nanoseconds: 0 };

/// The last second of the year 9999: RFC 3339 ends there.
const LAST_SECOND: i64 = 253_402_300_799;

/// Gives times to what a build makes. No clock is read: where SOURCE_DATE_EPOCH
/// (<https://reproducible-builds.org/specs/source-date-epoch/>) is not given, the time of an image is that of its newest input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Clock {
    epoch: Option<Timestamp>,
}

impl Clock {
    /// A clock from the value of SOURCE_DATE_EPOCH: seconds since 1970; empty means not given, as in BuildKit.
    ///
    /// # Errors
    /// A usage failure if the value is no such number.
    pub(crate) fn new(value: Option<&str>) -> Result<Self, Failure> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Self::default());
        };
        match value.parse::<i64>() {
            Ok(seconds) if (0..=LAST_SECOND).contains(&seconds) => {
                Ok(Self { epoch: Some(Timestamp { seconds, nanoseconds: 0 }) })
            }
            _ => Err(Failure::usage(format!("invalid SOURCE_DATE_EPOCH: `{value}`"))
                .hint("give whole seconds since 1970-01-01T00:00:00Z, for example `git log -1 --format=%ct`")),
        }
    }

    /// The time of what no input has a time for: directories that a destination needs, files written in the Dockerfile.
    pub(crate) fn made(self) -> Timestamp {
        self.epoch.unwrap_or(START)
    }

    /// The time of a file that was copied: its own, or SOURCE_DATE_EPOCH if that is earlier.
    pub(crate) fn kept(self, modified: Timestamp) -> Timestamp {
        self.epoch.map_or(modified, |epoch| epoch.min(modified))
    }

    /// The time of the image, given that of its newest input.
    pub(crate) fn created(self, newest: Option<Timestamp>) -> Timestamp {
        self.epoch.or(newest).unwrap_or(START).max(START)
    }
}

/// RFC 3339 in UTC, with as many digits of the second as it needs.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let seconds = time.seconds.clamp(0, LAST_SECOND);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let fraction = match time.nanoseconds {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{fraction}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The moment that an RFC 3339 text names; none if it is malformed.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, offset) = split_offset(time)?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let in_range = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    let digits: String = fraction.chars().take(9).collect();
    let nanoseconds = if digits.is_empty() { 0 } else { format!("{digits:0<9}").parse().ok()? };
    in_range.then(|| Timestamp {
        seconds: days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset,
        nanoseconds,
    })
}

/// A time of day and its offset from UTC in seconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (clock, offset) = time.split_at(at);
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    Some((clock, if offset.starts_with('-') { -seconds } else { seconds }))
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// Days from 1970-01-01 to a date: the inverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    #[test]
    fn writes_and_reads_rfc3339() {
        for (time, text) in [
            (at(0, 0), "1970-01-01T00:00:00Z"),
            (at(951_782_400, 0), "2000-02-29T00:00:00Z"),
            (at(1_700_000_000, 120_000_000), "2023-11-14T22:13:20.12Z"),
            (at(LAST_SECOND, 0), "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(time), text);
            assert_eq!(parse_rfc3339(text), Some(time), "{text}");
        }
        assert_eq!(parse_rfc3339("1970-01-01T02:30:00+02:30"), Some(at(0, 0)));
        assert_eq!(parse_rfc3339("1969-12-31T23:00:00-01:00"), Some(at(0, 0)));
        for bad in ["", "today", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00", "1970-01-01"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn row_136_epoch_clamps_and_decides() {
        let clock = Clock::new(Some("100")).unwrap();
        assert_eq!(clock.kept(at(50, 7)), at(50, 7));
        assert_eq!(clock.kept(at(150, 0)), at(100, 0));
        assert_eq!(clock.created(Some(at(7, 0))), at(100, 0));
        let free = Clock::new(Some("")).unwrap();
        assert_eq!(free.created(Some(at(7, 0))), at(7, 0));
        assert_eq!(free.created(None), START);
        assert_eq!(free.kept(at(150, 0)), at(150, 0));
    }

    #[test]
    fn row_136_invalid_epochs_are_usage_errors() {
        for bad in ["x", "1.5", "-1", " 1", "99999999999999"] {
            let failure = Clock::new(Some(bad)).unwrap_err();
            assert_eq!(failure.kind, steprun_ports::FailureKind::Usage, "{bad}");
        }
    }
}
