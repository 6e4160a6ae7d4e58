//! Generates the messages and services from `proto/`, without a `protoc` program.

use std::error::Error;

const FILES: [&str; 8] = [
    "common.proto",
    "gateway.proto",
    "kvrwset.proto",
    "msp.proto",
    "orderer.proto",
    "peer.proto",
    "rwset.proto",
    "status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
