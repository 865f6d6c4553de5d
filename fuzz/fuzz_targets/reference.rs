//! Names of images: what is printed is read as the same. A tag that is implied is printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_client::{Reference, RepositoryName, Selector, Tag};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let again = reference.to_string().parse::<Reference>().expect("what is printed is a reference");
        assert_eq!(again.selector(), reference.selector());
        assert_eq!(again.to_string(), reference.to_string());
    }
    if let Ok(repository) = text.parse::<RepositoryName>() {
        assert_eq!(repository.to_string().parse(), Ok(repository));
    }
    let _ = text.parse::<Tag>();
    let _ = text.parse::<Selector>();
});
