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

    /// The time of a file that was copied: its own, or SOURCE_DATE_EPOCH if that is earlier. Whole seconds, as Docker writes layers:
    /// a fraction would cost an extended header for each file.
    pub(crate) fn kept(self, modified: Timestamp) -> Timestamp {
        let whole = Timestamp { nanoseconds: 0, ..modified };
        self.epoch.map_or(whole, |epoch| epoch.min(whole))
    }

    /// The latest time that files of a command may have.
    pub(crate) fn latest(self) -> Option<Timestamp> {
        self.epoch
    }

    /// The time of the image, given that of its newest input.
    pub(crate) fn created(self, newest: Option<Timestamp>) -> Timestamp {
        self.epoch.or(newest).unwrap_or(START).max(START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    #[test]
    fn row_136_epoch_clamps_and_decides() {
        let clock = Clock::new(Some("100")).unwrap();
        assert_eq!(clock.kept(at(50, 7)), at(50, 0));
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
