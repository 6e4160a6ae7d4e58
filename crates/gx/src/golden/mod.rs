//! Golden files of everything that other programs rely on: commands, settings, HTTP routes,
//! problem codes, the ledger's words, metrics, log fields, JSON fields and audit actions; and rules
//! for texts that are read from the sources.
//!
//! Renaming Rust code must leave these files as they are. Tables and columns have golden files
//! of their own in `crates/gx-db/schema`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic is a failed test")]

mod commands;
mod contracts;
mod http;
mod remedies;
mod serde_shapes;
mod sources;

use std::path::Path;

/// With this variable set the golden files are written instead of compared.
const UPDATE: &str = "GX_UPDATE_GOLDEN";
/// Most lines of a difference that a failed test prints.
const MAX_SHOWN: usize = 60;

#[expect(clippy::disallowed_methods, reason = "a test has no command line")]
fn is_updating() -> bool {
    std::env::var_os(UPDATE).is_some()
}

/// Compares `actual` with the golden file `name`, or writes the file if [`UPDATE`] is set.
fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if is_updating() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == actual,
        "crates/gx/golden/{name} differs from the code. Lines with - are in the file, lines with \
         + are in the code:\n{}\nOther programs rely on these names: undo the change, or, if it \
         is meant, run `{UPDATE}=1 cargo test -p gx golden::` and commit crates/gx/golden.",
        difference(&golden, actual)
    );
}

/// Returns the lines of both texts that are not in the other one, in order.
fn difference(golden: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), actual.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[same_start..], &new[same_start..]);
    let same_end =
        old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[..old.len() - same_end], &new[..new.len() - same_end]);
    let removed = old.iter().filter(|line| !new.contains(line)).map(|line| format!("-{line}"));
    let added = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+{line}"));
    let lines: Vec<String> = removed.chain(added).collect();
    match lines.len() {
        0 => format!("the same lines in another order, from line {}", same_start + 1),
        count if count > MAX_SHOWN => {
            format!("{}\n… and {} more", lines[..MAX_SHOWN].join("\n"), count - MAX_SHOWN)
        }
        _ => lines.join("\n"),
    }
}

#[test]
fn a_difference_shows_the_lines_of_each_side() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n"), "-b\n+x");
    assert_eq!(difference("a\nb\n", "b\na\n"), "the same lines in another order, from line 1");
}
