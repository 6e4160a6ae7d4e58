//! CRY-04: the inventory of cryptography is complete, and its page is that of the code.

use std::path::{Path, PathBuf};

use gx_documents::inventory;

/// With this variable set the page is written instead of compared.
const UPDATE: &str = "GX_UPDATE_GOLDEN";
/// Crates whose code encrypts, signs or hashes with cryptography.
const LIBRARIES: [&str; 7] =
    ["aws_lc_rs::", "sha2::", "sha1::", "argon2::", "bcrypt::", "jsonwebtoken::", "totp_rs::"];
/// Crates that do not ship.
const NOT_SHIPPED: [&str; 4] = ["gx-bench/", "gx-sim/", "gx-testkit/", "gx-documents/tests/"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns the Rust files below a folder, without tests.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "tests" | "testing" | "target" | "benches") {
                rust_files(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// CRY-04: every file that uses cryptography belongs to an entry, and every entry names files that
/// exist.
#[test]
fn cry_04_every_use_of_cryptography_is_in_the_inventory() {
    let (root, entries) = (crates(), inventory::entries());
    for path in entries.iter().flat_map(|entry| entry.code) {
        assert!(root.join(path).exists(), "{path} does not exist");
    }
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut missing = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let has_use = code.any(|line| LIBRARIES.iter().any(|name| line.contains(name)));
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let is_listed =
            entries.iter().flat_map(|entry| entry.code).any(|path| name.starts_with(path));
        if has_use && !is_listed && !NOT_SHIPPED.iter().any(|path| name.starts_with(path)) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "not in the inventory: {missing:#?}");
}

/// CRY-04: the page is written from the code.
#[test]
#[expect(clippy::disallowed_methods, reason = "the variable is one of the test itself")]
fn cry_04_the_page_is_that_of_the_code() {
    let path = crates().parent().unwrap().join("docs/cryptography.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, inventory::page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == inventory::page(),
        "docs/cryptography.md differs; run `GX_UPDATE_GOLDEN=1 cargo test -p gx-documents cry_04`"
    );
}
