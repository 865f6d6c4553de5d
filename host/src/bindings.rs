//! What `wit/` looks like from the host. Handles of the contract are the host's own types; errors of calls are [`CallError`]s.
#![allow(missing_docs, reason = "the documentation is in wit/")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "pipeline-step",
    imports: { default: trappable },
    exports: { default: async },
    trappable_error_type: { "steprun:step/types.error" => crate::error::CallError },
    with: {
        "steprun:step/context.directory": crate::context::DirectoryHandle,
        "steprun:step/registry.repository": crate::registry::RepositoryHandle,
        "steprun:step/registry.catalog": crate::registry::CatalogHandle,
        "steprun:step/store.blob": crate::store::BlobHandle,
        "steprun:step/snapshots.snapshot": crate::snapshots::SnapshotHandle,
        "steprun:step/inputs.input-file": crate::inputs::InputFileHandle,
        "steprun:step/inputs.secret": crate::inputs::SecretHandle,
        "steprun:step/inputs.agent": crate::inputs::AgentHandle,
        "steprun:step/outputs.output-file": crate::outputs::OutputFileHandle,
        "steprun:step/outputs.output-directory": crate::outputs::OutputDirectoryHandle,
        "steprun:step/progress.task": crate::progress::TaskHandle,
    },
});

pub use self::exports::steprun::step::step as exported;
pub use self::steprun::step::{cache, context, inputs, outputs, progress, registry, snapshots, sources, store, types};
