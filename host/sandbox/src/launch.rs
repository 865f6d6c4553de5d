//! The host's side: starts a supervisor and follows it.
