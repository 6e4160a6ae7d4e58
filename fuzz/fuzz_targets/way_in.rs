//! Sends files the whole way in and out again: looked at, sealed and opened. `scripts/fuzz` runs
//! it. A file that panics, that comes out as another one, or whose pieces make a difference, stays
//! in `fuzz/artifacts`.

#![no_main]

use std::path::Path;

use gx_documents::testing::{small_files, take_in_and_open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: write_seeds(), |file: &[u8]| {
    // A refusal is a good end, too.
    let _ = take_in_and_open(file);
});

/// Writes a file of each kind into the folder that the script names, for libFuzzer to start from.
fn write_seeds() {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS") else { return };
    for (number, file) in small_files().iter().enumerate() {
        std::fs::write(Path::new(&folder).join(number.to_string()), file)
            .expect("the folder of the seeds can be written");
    }
}
