//! PAX extended headers (POSIX.1-2017, pax, "pax Extended Header").

use crate::meta::Timestamp;
use crate::{Error, Result};

/// Prefix of extended attributes, as star, GNU tar and all container engines write it.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

/// The records of a header. Values may hold any byte, a newline too: the length at the front of a record counts.
pub(crate) fn parse(mut data: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let malformed = || Error::Invalid("the archive has a malformed PAX header".into());
    let mut records = Vec::new();
    while data.first().is_some_and(|byte| *byte != 0) {
        let space = data.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let length: usize = number(&data[..space]).ok_or_else(malformed)?;
        let record = data.get(space + 1..length).ok_or_else(malformed)?;
        let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        records.push((&record[..equals], &record[equals + 1..]));
        data = &data[length..];
    }
    Ok(records)
}

/// A decimal number without sign.
pub(crate) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    text.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// `1700000000.25`; before the epoch with a `-`. Digits beyond nanoseconds are dropped.
pub(crate) fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let dot = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = dot.map_or((text, &b""[..]), |dot| (&text[..dot], &text[dot + 1..]));
    let seconds: i64 = number(whole)?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanoseconds =
        (0..9).fold(0, |sum, place| sum * 10 + u32::from(fraction.get(place).map_or(0, |digit| digit - b'0')));
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Timestamp { seconds, nanoseconds },
        (true, 0) => Timestamp { seconds: -seconds, nanoseconds: 0 },
        (true, nanoseconds) => Timestamp { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

/// The other way round.
pub(crate) fn format_timestamp(at: Timestamp) -> String {
    let (sign, seconds, nanoseconds) = match (at.seconds, at.nanoseconds) {
        (seconds, 0) => return seconds.to_string(),
        (seconds @ 0.., nanoseconds) => ("", seconds, nanoseconds),
        (seconds, nanoseconds) => ("-", -(seconds + 1), 1_000_000_000 - nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// Appends a record.
pub(crate) fn push(header: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    header.extend_from_slice(length.to_string().as_bytes());
    header.push(b' ');
    header.extend_from_slice(key);
    header.push(b'=');
    header.extend_from_slice(value);
    header.push(b'\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_records_are_refused() {
        for data in [
            &b"x"[..],
            b"9 a=b",
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"3 a=b\n",
            b"5 ab\n",
            b"-6 a=b\n",
            b"6 a=b\n\n9",
        ] {
            assert!(matches!(parse(data), Err(Error::Invalid(_))), "{:?}", String::from_utf8_lossy(data));
        }
        assert_eq!(parse(b"6 a=b\n\0\0\0").unwrap(), [(&b"a"[..], &b"b"[..])]);
    }

    #[test]
    fn moments() {
        let table: &[(&str, i64, u32)] =
            &[("0", 0, 0), ("12.5", 12, 500_000_000), ("-1.25", -2, 750_000_000), ("-3", -3, 0), ("7.000000001", 7, 1)];
        for (text, seconds, nanoseconds) in table {
            let at = Timestamp { seconds: *seconds, nanoseconds: *nanoseconds };
            assert_eq!(timestamp(text.as_bytes()), Some(at));
            assert_eq!(format_timestamp(at), *text);
        }
        assert_eq!(timestamp(b"1.12345678999"), Some(Timestamp { seconds: 1, nanoseconds: 123_456_789 }));
        for text in ["", "x", "1.x", "--1", "1e3", "99999999999999999999"] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn records_come_back(records in prop::collection::vec(("[a-zA-Z.]{1,120}", prop::collection::vec(any::<u8>(), 0..1100)), 0..5)) {
            let mut header = Vec::new();
            for (key, value) in &records {
                push(&mut header, key.as_bytes(), value);
            }
            let parsed = parse(&header).unwrap();
            prop_assert!(parsed.iter().map(|(key, value)| (*key, *value)).eq(records.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()))));
        }

        #[test]
        fn any_bytes_do_not_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&data);
            let _ = timestamp(&data);
        }
    }
}
