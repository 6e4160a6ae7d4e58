//! Generates the messages and services from `proto/`, without a `protoc` program. Run by Cargo
//! before the crate is compiled; a malformed file fails the build.

use std::error::Error;

const FILES: [&str; 15] = [
    "chaincode.proto",
    "collection.proto",
    "common.proto",
    "config.proto",
    "gateway.proto",
    "kvrwset.proto",
    "lifecycle.proto",
    "msp.proto",
    "orderer.proto",
    "peer.proto",
    "policies.proto",
    "query.proto",
    "queryresult.proto",
    "rwset.proto",
    "status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(FILES, ["proto"])?;
    // A generated `connect` of the transport would clash with the call of that name.
    tonic_prost_build::configure().build_transport(false).compile_fds(files)?;
    Ok(())
}
