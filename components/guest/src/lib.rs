//! The ports of a step on the imports of its component.
//!
//! A step is written against `steprun-ports` and becomes a component by one line in its crate, [`export_step!`]. For other targets
//! than wasm this crate is that macro alone, which then does nothing: the step stays an ordinary library, tested natively.

#[cfg(target_arch = "wasm32")]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod convert;
#[cfg(target_arch = "wasm32")]
pub mod face;
#[cfg(target_arch = "wasm32")]
mod handles;
#[cfg(target_arch = "wasm32")]
mod host;
#[cfg(target_arch = "wasm32")]
mod process;

#[cfg(target_arch = "wasm32")]
pub use handles::{
    GuestAgent, GuestBlob, GuestCatalog, GuestDirectory, GuestInputFile, GuestOutputDirectory, GuestOutputFile,
    GuestRepository, GuestSecret, GuestSnapshot, GuestTask,
};
#[cfg(target_arch = "wasm32")]
pub use host::GuestHost;

/// Makes the crate a step: exports its description, a `fn() -> Description`, and its logic, an `async fn(&impl Host) -> Result<(),
/// Failure>`, as the world `pipeline-step` wants them.
///
/// ```
/// use steprun_ports::{Description, Failure, Host, Level};
///
/// fn describe() -> Description {
///     Description { name: "hello", version: "1.0.0", summary: "Says hello", commands: Vec::new() }
/// }
///
/// async fn run(host: &impl Host) -> Result<(), Failure> {
///     host.log(Level::Info, "hello");
///     Ok(())
/// }
///
/// steprun_guest::export_step!(describe, run);
/// # assert_eq!(describe().name, "hello");
/// # let _ = |host: steprun_ports::memory::MemoryHost| async move { run(&host).await };
/// ```
#[macro_export]
macro_rules! export_step {
    ($describe:path, $run:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::exports::steprun::step::step::{Description, Failure, Guest};

            struct Step;

            impl Guest for Step {
                fn describe() -> Description {
                    $crate::face::description($describe())
                }

                async fn run() -> ::core::result::Result<(), Failure> {
                    $crate::face::finish($run(&$crate::face::start()).await)
                }
            }

    $crate::bindings::export!(Step with_types_in $crate::bindings);
        };
    };
}
