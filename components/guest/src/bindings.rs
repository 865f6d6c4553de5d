//! What `wit/` looks like from a component.
#![allow(missing_docs, reason = "the documentation is in wit/")]
#![allow(unreachable_pub, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "pipeline-step",
    pub_export_macro: true,
    default_bindings_module: "steprun_guest::bindings",
});
