//! The journey of the README, pasted into a shell.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::stack::Stack;

/// Longest time of the journey in seconds, on a machine that runs other tests, too.
const LIMIT_S: &str = "300";

/// G2: the lines of the README work as pasted, and a second time: each round ends with a person on
/// the ledger who holds 500 GX, and whose passport an administrator has seen.
#[tokio::test(flavor = "multi_thread")]
async fn the_journey_of_the_readme_works_as_pasted_and_again() {
    works_as_pasted(&Stack::start().await).await;
}

/// Runs the lines twice and checks their output.
pub(crate) async fn works_as_pasted(stack: &Stack) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    symlink(stack.data_dir(), folder.path().join(".gx")).unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    symlink(examples, folder.path().join("examples")).unwrap();
    let journey = journey();
    for _round in 1..=2 {
        let folder = folder.path().to_owned();
        let journey = journey.clone();
        let output = tokio::task::spawn_blocking(move || paste(&journey, &folder)).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{said}\n{errors}");
        for expected in [
            "\"status\":\"REGISTERED\"",
            "| NOT_REGISTERED",
            "\"type\":\"SELFIE_PHOTO\"",
            "\"status\":\"PENDING_ADMIN_APPROVAL\"",
            "200 image/jpeg",
            "\"status\":\"APPROVED_PENDING_ONCHAIN\"",
            "\"balance\":\"500\"",
            "\"status\":\"ACTIVE\"",
            "\"onchainStatus\":\"REGISTERED\"",
        ] {
            assert!(said.contains(expected), "no {expected} in:\n{said}");
        }
    }
}

/// Returns the README's only block of shell lines.
fn journey() -> String {
    let readme = include_str!("../../../../README.md");
    let block = readme.split_once("```sh\n").unwrap().1;
    block.split_once("```").unwrap().0.to_owned()
}

fn paste(lines: &str, folder: &Path) -> Output {
    Command::new("timeout")
        .args([LIMIT_S, "sh", "-eu", "-c", lines])
        .current_dir(folder)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap()
}
