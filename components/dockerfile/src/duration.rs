//! Durations as Go's `time.ParseDuration` reads them.

/// Nanoseconds of `1m30s`, `1.5h`, `-2ms`, `0`; none when the text is no duration or too long for 63 bits.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: u128 = 0;
    let mut rest = rest;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (nanoseconds, after) = part(rest)?;
        total += nanoseconds;
        if total > i64::MAX as u128 {
            return None;
        }
        rest = after;
    }
    // In range: checked above.
    let total = total as i64;
    Some(if negative { -total } else { total })
}

/// One number and its unit, and what follows.
fn part(text: &str) -> Option<(u128, &str)> {
    let length = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(length);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(length);
    let unit: u128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits beyond nanoseconds don't count.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some((whole * unit + fraction * unit / scale, rest))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn row_129_durations() {
        const S: i64 = 1_000_000_000;
        let rows = [
            ("0", Some(0)),
            ("5s", Some(5 * S)),
            ("1m30s", Some(90 * S)),
            ("1.5h", Some(5400 * S)),
            (".5s", Some(S / 2)),
            ("1.s", Some(S)),
            ("-3ms", Some(-3_000_000)),
            ("+2us", Some(2_000)),
            ("2µs", Some(2_000)),
            ("0.000000001s", Some(1)),
            ("9223372036s", Some(9_223_372_036 * S)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1x", None),
            ("1 s", None),
            ("1..5s", None),
            ("3000000h", None),
            ("99999999999999999999s", None),
            ("-", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
