//! Moments on the command line: the caller's clock is read here, so that no step needs one.

use crate::exit::Failure;

const DAY: i64 = 86_400;

/// Reads a date, a time as RFC 3339 has it, or an age before now; gives seconds since 1970. Now is SOURCE_DATE_EPOCH where the environment has it.
///
/// # Errors
/// If it is none of them.
pub fn parse(parameter: &str, text: &str) -> Result<i64, Failure> {
    let found = moment(text).or_else(|| Some(now()?.saturating_sub(age(text)?)));
    found.ok_or_else(|| {
        Failure::usage(format!("`--{parameter} {text}` is neither a date nor an age"))
            .hint("write `2026-01-31`, `2026-01-31T12:00:00Z`, or an age: `30d`, `12h`, `2w`")
    })
}

fn now() -> Option<i64> {
    match std::env::var("SOURCE_DATE_EPOCH").ok().filter(|epoch| !epoch.is_empty()) {
        Some(epoch) => epoch.parse().ok(),
        None => {
            let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(elapsed.as_secs()).ok()
        }
    }
}

/// `30d`, in seconds.
fn age(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    i64::from(number).checked_mul(unit)
}

/// `2026-01-31`, or `2026-01-31T12:00:00` with `Z` or an offset.
fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't']).unwrap_or((text, "00:00:00Z"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = time.split_at_checked(time.len().checked_sub(6)?)?;
            let [hours, minutes] = numbers(offset.get(1..)?, ':', [2, 2])?;
            let sign = match offset.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            (clock, sign * (hours * 3600 + minutes * 60))
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let sound = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| days_since_1970(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset)
}

/// Numbers of these many digits with a separator between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for (number, length) in found.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_moments() {
        for (text, seconds) in [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(951_782_400)),
            ("2026-01-31T12:00:00Z", Some(1_769_860_800)),
            ("2026-01-31T12:00:00.25+01:30", Some(1_769_855_400)),
            ("2026-01-31T12:00:00-00:30", Some(1_769_862_600)),
            ("2026-02-29", None),
            ("2026-1-31", None),
            ("2026-01-31T24:00:00Z", None),
            ("2026-01-31T12:00", None),
            ("2026-01-31T12:00:00", None),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text), seconds, "{text}");
        }
    }

    #[test]
    fn ages_have_units() {
        for (text, seconds) in [
            ("30d", Some(2_592_000)),
            ("12h", Some(43_200)),
            ("2w", Some(1_209_600)),
            ("0s", Some(0)),
            ("d", None),
            ("-1d", None),
            ("3", None),
            ("1y", None),
        ] {
            assert_eq!(age(text), seconds, "{text}");
        }
        assert!(parse("older-than", "1é").is_err());
    }
}
