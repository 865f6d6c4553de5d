//! `.dockerignore`: the last line is a path, the others are the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_dockerfile::Source;
use steprun_dockerfile::ignore::Matcher;

fuzz_target!(|text: &str| {
    let (file, path) = text.rsplit_once('\n').unwrap_or((text, ""));
    let matcher = match Matcher::new(file) {
        Ok(matcher) => matcher,
        Err(error) => {
            let source = Source::new(".dockerignore", file);
            assert!(file.get(error.span.start..error.span.end).is_some(), "{:?}", error.span);
            error.render(&source);
            return;
        }
    };
    for rule in matcher.rules() {
        assert!(file.get(rule.span.start..rule.span.end).is_some(), "{:?}", rule.span);
    }
    assert_eq!(matcher.matches(path), matcher.excluded_by(path).is_some());
    // A walk of directories meets no other paths.
    let walked = path.split('/').all(|part| !["", ".", ".."].contains(&part));
    if walked && !matcher.matches(path) {
        for (at, _) in path.match_indices('/') {
            assert!(matcher.may_contain_included(&path[..at]), "{path:?} is cut off at {at}");
        }
    }
});
