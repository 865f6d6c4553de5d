//! What [`export_step!`](crate::export_step) expands to, as functions.

use std::panic;

use steprun_ports as ports;

use crate::GuestHost;
use crate::bindings::exports::steprun::step::step;
use crate::bindings::steprun::step::progress;

/// Begins a run: from now on a panic is told before it traps. `describe` goes without, since it may call no import.
pub fn start() -> GuestHost {
    panic::set_hook(Box::new(|info| progress::log(progress::Level::Warning, &format!("step: {info}"))));
    GuestHost
}

/// A step's description in the words of the contract.
pub fn description(description: ports::Description) -> step::Description {
    description.into()
}

/// A run's end in the words of the contract.
pub fn finish(result: Result<(), ports::Failure>) -> Result<(), step::Failure> {
    result.map_err(Into::into)
}
