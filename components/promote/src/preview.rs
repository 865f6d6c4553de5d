//! What would be copied.

use serde_json::{Value, json};
use steprun_ports::{Failure, Host};

use crate::arguments::wants_json;
use crate::query::{print as print_bytes, print_json};

/// A copy that is to be made.
pub(crate) struct Copy {
    /// `registry/repository:tag`, or with `@digest`.
    pub(crate) source: String,
    /// The same.
    pub(crate) destination: String,
    pub(crate) digest: String,
}

/// Prints a line for each copy, or all of them as JSON.
pub(crate) async fn print(host: &impl Host, copies: Vec<Copy>) -> Result<(), Failure> {
    if wants_json(host) {
        let object = |Copy { source, destination, digest }: &Copy| -> Value {
            json!({"source": source, "destination": destination, "digest": digest})
        };
        return print_json(host, &json!({"copies": copies.iter().map(object).collect::<Vec<_>>()})).await;
    }
    let line = |Copy { source, destination, digest }: &Copy| format!("{source} {destination} {digest}\n");
    print_bytes(host, copies.iter().map(line).collect::<String>().as_bytes()).await
}
