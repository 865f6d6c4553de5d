//! Words with variables, quotes, escapes and substitutions. The first line is the value of `x`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_dockerfile::expand::{expand, expand_heredoc, words};

fuzz_target!(|text: &str| {
    let (value, raw) = text.split_once('\n').unwrap_or(("", text));
    let lookup = |name: &str| match name {
        "x" => Some(value.to_owned()),
        "empty" => Some(String::new()),
        _ => None,
    };
    for escape in ['\\', '`'] {
        let expanded = expand(raw, escape, &lookup);
        let split = words(raw, escape, &lookup);
        assert_eq!(expanded.is_ok(), split.is_ok(), "{raw:?}");
        let _ = expand_heredoc(raw, escape, &lookup);
        if let Ok(expanded) = expanded {
            let plain = !raw.contains(['$', '\'', '"', escape]);
            assert!(!plain || expanded.value == raw, "{raw:?}");
            assert!(!expanded.undefined.iter().any(|name| name == "x" || name == "empty"), "{raw:?}");
        }
    }
});
