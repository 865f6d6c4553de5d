//! The step `build`: a Dockerfile and a context become an OCI image.
//!
//! Data flows one way: [`arguments`](describe) and the loaded Dockerfile become a plan; stages carry it out as values that know
//! what changed, without moving a byte; assembling packs and pushes the layers of the target alone; publishing names the
//! result. All content stays with the host, behind the traits of `steprun-ports`.

mod arguments;
mod assemble;
mod build;
mod clock;
mod config;
mod copy;
mod diagnose;
mod draft;
mod ignore;
mod image;
mod instruction;
mod load;
mod metadata;
mod owner;
mod paths;
mod plan;
mod platform;
mod publish;
mod quote;
mod run;
mod scope;
mod stage;
mod stages;

pub use arguments::describe;
pub use build::run;

steprun_guest::export_step!(describe, run);
