//! Values of `--chmod`, behind the mode that they change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_dockerfile::mode::Mode;

fuzz_target!(|input: (u16, bool, &str)| {
    let (current, directory, text) = input;
    let Ok(mode) = Mode::parse(text) else { return };
    let current = u32::from(current);
    let applied = mode.apply(current, directory);
    assert!(applied <= 0o7777, "{text:?}");
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        assert_eq!(Ok(applied), u32::from_str_radix(text, 8), "{text:?}");
    }
});
