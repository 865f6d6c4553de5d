//! Names of images: what is printed is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steprun_client::{Reference, RepositoryName, Selector, Tag};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
    if let Ok(repository) = text.parse::<RepositoryName>() {
        assert_eq!(repository.to_string().parse(), Ok(repository));
    }
    let _ = text.parse::<Tag>();
    let _ = text.parse::<Selector>();
});
