//! The command line of `gx chaincode`. The service itself is tested in gx-chaincode and in the
//! network tests.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

const PACKAGE_ID: &str = "gxtv3_1:0123";

fn chaincode(args: &[&str], settings: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gx"))
        .arg("chaincode")
        .args(args)
        .env_remove("CHAINCODE_ID")
        .envs(settings.iter().copied())
        .output()
        .unwrap()
}

fn refusal(settings: &[(&str, &str)]) -> String {
    let output = chaincode(&[], settings);
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_package_is_written_and_its_id_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gxtv3.tar.gz");
    let output = ["--output", file.to_str().unwrap()];
    let settings = ["package", "--address", "chaincode.gx:7052", "--label", "gxtv3_1"];

    let printed = chaincode(&[&settings[..], &output].concat(), &[]);

    let id = String::from_utf8(printed.stdout).unwrap();
    let (label, hash) = id.trim().split_once(':').unwrap();
    assert_eq!((label, hash.len()), ("gxtv3_1", 64));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "a client's key may be in it");
    let written = std::fs::read(&file).unwrap();
    assert_eq!(written[..2], [0x1f, 0x8b], "a gzip file");
}

#[test]
fn a_service_without_an_id_is_refused() {
    let said = refusal(&[]);
    assert!(said.contains("CHAINCODE_ID: is required and not set"), "{said}");
}

#[test]
fn a_certificate_needs_its_key() {
    let settings = [("CHAINCODE_ID", PACKAGE_ID), ("CHAINCODE_TLS_CERT_FILE", "tls.pem")];
    let said = refusal(&settings);
    assert!(said.contains("--chaincode-tls-key-file"), "{said}");
}

#[test]
fn a_taken_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&[("CHAINCODE_ID", PACKAGE_ID), ("CHAINCODE_SERVER_ADDRESS", &address)]);
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
}
