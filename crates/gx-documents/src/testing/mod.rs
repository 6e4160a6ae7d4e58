//! Documents for tests: stores in a folder, and files as people upload them, and hostile ones.
//! Files are made when they are asked for, so that the repository contains none. Never shipped.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test without its files has failed, and colours repeat"
)]

mod forms;
mod hand_in;
mod images;
mod pdfs;
mod way_in;

use std::path::PathBuf;
use std::time::Duration;

use gx_auth::Foundation;

use crate::documents::Documents;
use crate::scan::{Scanner, ScannerAddress, ScannerSettings};
use crate::view::{self, RenderProgram};

pub use forms::{Form, form, passport_form, selfie_form};
pub use hand_in::{claim, documents_in, hand_in};
pub use images::{
    ManyPixels, animated_png, animated_webp, cmyk_jpeg, jpeg, jpeg_with_location, png,
    png_of_chunks, png_promising, sixteen_bit_png, webp,
};
pub use pdfs::{PdfText, pdf};
pub use way_in::{small_files, take_in_and_open};

/// The test file that every scanner calls malware, put together when it is asked for: the source
/// does not contain it.
pub fn eicar() -> Vec<u8> {
    let parts =
        ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!", "$H+H*"];
    parts.concat().into_bytes()
}

/// Returns a picture that can be read as a passport: a light page with dark lines of print.
pub fn passport() -> Vec<u8> {
    jpeg(1_200, 850)
}

/// Returns a picture that can be handed in as a selfie.
pub fn selfie() -> Vec<u8> {
    png(480, 640)
}

/// Returns a program that draws nothing: the image of each page is what the program was asked, with
/// the watermark, and the file.
pub fn echo_program() -> RenderProgram {
    view::echo_program()
}

/// Returns the documents of a service in a test, with a folder of their own, which is removed with
/// the last clone. They draw no pages.
pub fn documents_of(base: &Foundation) -> Documents {
    let folder = tempfile::tempdir().unwrap();
    let ring = base.key_ring.clone();
    let program = echo_program();
    documents_in(folder.path(), ring, &base.clock, &base.entropy, program).keeping(folder)
}

/// Returns the same with a scanner that nobody reaches, so that each upload is held.
pub fn held_documents_of(base: &Foundation) -> Documents {
    let nowhere = ScannerAddress::Unix(PathBuf::from("/nowhere/clamd.ctl"));
    let settings =
        ScannerSettings { scanner: Some(nowhere), scanner_timeout: Duration::from_secs(30) };
    documents_of(base).with_scanner(Scanner::of(&settings).unwrap())
}

/// Returns documents whose ended uploads are not cleaned up, as in a process that is killed.
pub fn as_if_killed(documents: &Documents) -> Documents {
    documents.clone().without_clean_up()
}
