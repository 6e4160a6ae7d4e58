//! Commands whose output is not read to its end, as in `gx … | head`, and logs that are not read in
//! a terminal.

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs `gx` with standard output, and if asked standard error, on a closed pipe.
fn unread(args: &[&str], is_error_unread: bool) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gx"));
    command.args(args).env_remove("DATABASE_URL").stdout(writer.try_clone().unwrap());
    if is_error_unread {
        command.stderr(writer);
    } else {
        command.stderr(std::process::Stdio::piped());
    }
    command.spawn().unwrap().wait_with_output().unwrap()
}

const SARAH: [&str; 5] = [
    "id",
    "generate",
    "--email=sarah.johnson@gxtest.com",
    "--birth-date=1992-08-20",
    "--country=MY",
];

/// A closed pipe ends a command without a message, with the exit code that shells expect.
#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let json = [&SARAH[..], &["--json"]].concat();
    for args in [&SARAH[..], &json, &["fabric", "profile", "--example"]] {
        for is_error_unread in [false, true] {
            let output = unread(args, is_error_unread);
            assert_eq!(output.status.code(), Some(141), "{args:?}: {output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        }
    }
}

/// A command that fails has its own exit code, also if standard error is closed.
#[test]
fn a_failing_command_keeps_its_exit_code_if_standard_error_is_closed() {
    let output = unread(&["id", "decode", "nonsense"], true);
    assert_eq!(output.status.code(), Some(2));
    let output = unread(&["db", "check", "--database-url=x"], true);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
}

/// The compiler refuses macros that panic on a closed pipe.
#[test]
fn macros_that_panic_on_a_closed_pipe_are_denied() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/main.rs");
    let main = std::fs::read_to_string(source).unwrap();
    assert!(main.contains("#![deny(clippy::print_stdout, clippy::print_stderr)]"));
}

/// If standard error is not a terminal, logs for people have no colours.
#[test]
fn logs_have_no_colours_outside_a_terminal() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_gx"))
        .arg("chaincode")
        .env("CHAINCODE_ID", "gxtv3_1:0123")
        .env("CHAINCODE_SERVER_ADDRESS", &address)
        .env("GX_LOG_FORMAT", "human")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("started"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}
