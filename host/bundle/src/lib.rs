//! The components that come with the host, compiled ahead of time by this crate's build script. A change in the host does not
//! run that script again; a change in a component does, and then only the binary is linked anew.

/// A component that is part of the host.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The name to call it by.
    pub name: &'static str,
    /// One sentence for the host's help.
    pub summary: &'static str,
    /// Machine code for this very build of the engine, aligned so that it can be run where it lies.
    pub compiled: &'static [u8],
    /// The component itself.
    pub component: &'static [u8],
}

/// Gives bytes the alignment of the largest page that a machine has: only whole pages can be made executable.
#[repr(C, align(65536))]
struct Aligned<T: ?Sized>(T);

static BUILD: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/build.cwasm")));
static PROMOTE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/promote.cwasm")));

/// All of them.
pub static BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: "build",
        summary: "Build an OCI image from a Dockerfile and a context directory",
        compiled: &BUILD.0,
        component: steprun_wasm::BUILD,
    },
    BuiltIn {
        name: "promote",
        summary: "Copy, tag, inspect and edit images in registries",
        compiled: &PROMOTE.0,
        component: steprun_wasm::PROMOTE,
    },
];
