//! The step `build`: a Dockerfile and a context become an OCI image.
//!
//! Data flows one way: [`arguments`](describe) and the loaded Dockerfile become a job and a plan for each platform; stages carry them out
//! as values that know what changed, without moving a byte; assembling packs and pushes the layers of the target alone; publishing names
//! the result. `--check` and `--plan` stop before the stages. All content stays with the host, behind the traits of `steprun-ports`.

mod annotations;
mod arguments;
mod assemble;
mod bases;
mod build;
mod build_args;
mod cache;
mod check;
mod clock;
mod config;
mod contexts;
mod copy;
mod copying;
mod diagnose;
mod draft;
mod files;
mod findings;
mod ignore;
mod image;
mod instruction;
mod job;
mod kaniko;
mod layer;
mod load;
mod metadata;
mod mode;
mod owner;
mod paths;
mod plan;
mod platform;
mod prepare;
mod preview;
mod product;
mod publish;
mod quote;
mod recall;
mod run;
mod scope;
mod shared;
mod stage;
mod stages;
mod target;

pub use arguments::describe;
pub use build::run;

steprun_guest::export_step!(describe, run);
