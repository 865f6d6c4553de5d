//! Serves a registry until it is interrupted: `cargo run -p steprun-server --example serve [DIRECTORY]`. Prints its address.

use steprun_server::{Config, Server};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let root = std::env::args_os().nth(1).map(Into::into);
    let server = Server::bind(Config { address: ([127, 0, 0, 1], 0).into(), root })?;
    println!("{}", server.address());
    server.run(async { drop(tokio::signal::ctrl_c().await) }).await
}
