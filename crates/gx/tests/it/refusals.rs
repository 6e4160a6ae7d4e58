//! The errors of `gx dev` when it cannot start: a line with what is wrong, and one with what to do.

use std::net::TcpListener;

use gx_testkit::eventually;

use crate::stack::{BOUND, Stack};

/// Runs `gx dev`, which must fail, and returns its standard error.
fn refusal(stack: &Stack, change: impl FnOnce(&mut std::process::Command)) -> String {
    let mut command = stack.command();
    change(&mut command);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.trim().lines().collect();
    assert_eq!(lines.len(), 2, "what is wrong, and what to do: {said}");
    assert!(lines[1].starts_with("hint: "), "{said}");
    said
}

#[test]
fn a_taken_port_is_named_with_the_option_that_moves_all_ports() {
    let stack = Stack::prepare();
    let taken = TcpListener::bind(("127.0.0.1", stack.port(3006))).unwrap();
    let said = refusal(&stack, |_| {});
    assert!(said.contains(&format!("port {} on 127.0.0.1 is taken", stack.port(3006))), "{said}");
    assert!(said.contains("--port-offset"), "{said}");
    drop(taken);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let stack = Stack::prepare();
    std::fs::write(stack.data_dir(), "a file where the folder should be").unwrap();
    let said = refusal(&stack, |_| {});
    assert!(said.contains("cannot be written") && said.contains("--data-dir"), "{said}");
}

#[test]
fn missing_postgresql_binaries_are_named_with_the_package() {
    let stack = Stack::prepare();
    let said = refusal(&stack, |command| {
        command.env("GX_PG_BINDIR", "/nonexistent");
    });
    assert!(said.contains("apt-get install"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stack_in_the_same_folder_is_refused() {
    let mut stack = Stack::start().await;
    let said = refusal(&stack, |_| {});
    assert!(said.contains("another `gx dev` is running"), "{said}");
    assert!(stack.interrupt().await.success());
}

/// Ctrl-C during the start of the stack ends PostgreSQL, too.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_starting_leaves_nothing_running() {
    let mut stack = Stack::prepare();
    let postmaster = stack.data_dir().join("postgres/data/postmaster.pid");
    stack.spawn();
    eventually("PostgreSQL is being started", BOUND, || {
        std::future::ready(postmaster.exists().then_some(()))
    })
    .await;
    let ended = stack.interrupt().await;
    assert!(!ended.success(), "it never became ready");
    assert!(!postmaster.exists(), "PostgreSQL was stopped");
}
