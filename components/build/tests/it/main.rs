//! Builds in memory: each test is a Dockerfile, a context and what must come of them. Rows are those of BuildKit's behaviour as
//! its reference and tests have it (`frontend/dockerfile/docs/reference.md`, `dockerfile_test.go`).

mod caching;
mod checking;
mod contexts;
mod copying;
mod failing;
mod metadata;
mod mounts;
mod planning;
mod platforms;
mod remote;
mod rows;
mod running;
mod sources;
mod stages;
mod support;
mod whole;
