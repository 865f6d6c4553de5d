//! For the tests: `sandbox-trial REQUEST REPLY` tries a rung, `sandbox-trial DIRECTORY` prints what the place allows.

use std::io;
use std::path::PathBuf;

use steprun_sandbox::trial;

fn main() -> io::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [directory] => trial::probe(directory),
        [request, reply] => trial::run(request.clone(), reply.clone()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "one or two arguments")),
    }
}
