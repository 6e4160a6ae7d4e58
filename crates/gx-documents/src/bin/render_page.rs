//! The child process that draws pages, alone: tests start it. The binary `gx` has the same as its
//! hidden command `render-page`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gx_documents::render_page()
}
