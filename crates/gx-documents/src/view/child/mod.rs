//! The child process: reads a request and a file from standard input, writes a reply and an image
//! to standard output. It gives up files, network and processes before it reads the file.

mod confine;
mod image_file;
mod pdf_file;
mod probe;
mod watermark;

use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;

use crate::format::FileFormat;
use crate::intake::FileLimits;

use super::Watermark;
use super::protocol::{self, ChildRefusal, Reply, Request, Task};

/// Quality of pages, of 100. Small print stays readable.
const JPEG_QUALITY: u8 = 88;
/// Longest edge of a page, in pixels.
const MAX_PAGE_EDGE_PX: u32 = 2_560;

/// A drawn page.
struct Page {
    image: RgbImage,
}

/// Why there is no page.
enum NoPage {
    Refused(ChildRefusal),
    NoSuchPage { pages: u32 },
}

impl From<ChildRefusal> for NoPage {
    fn from(refusal: ChildRefusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Runs the child process: answers one request and ends. Called by the hidden command
/// `gx render-page`, before the process has started a thread.
pub fn render_page() -> ExitCode {
    let mut input = std::io::stdin().lock();
    let Some(request) = protocol::read::<Request>(&mut input) else {
        return answer(&Reply::Failed { reason: "the request is not readable".to_owned() }, &[]);
    };
    let has_landlock = match confine::confine(request.cpu_seconds) {
        Ok(has_landlock) => has_landlock,
        Err(reason) => return answer(&Reply::Failed { reason }, &[]),
    };
    let limits = FileLimits::from(request.limits);
    if let Task::Probe = request.task {
        return answer(&Reply::Confinement(probe::probe(has_landlock)), &[]);
    }
    let mut file = Vec::new();
    // The parent has checked the size; a longer file is cut and refused as damaged.
    if input.take(limits.max_bytes).read_to_end(&mut file).is_err() {
        return answer(&Reply::Failed { reason: "the file is not readable".to_owned() }, &[]);
    }
    let mime_type = request.task.mime_type().to_owned();
    // A decoder that panics has met a file that it cannot read. Nothing of its state is used after.
    let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(request.task, file, &limits)));
    match worked.unwrap_or_else(|_| Err(ChildRefusal::Malformed { mime_type }.into())) {
        Ok((reply, image)) => answer(&reply, &image),
        Err(NoPage::NoSuchPage { pages }) => answer(&Reply::NoSuchPage { pages }, &[]),
        Err(NoPage::Refused(refusal)) => answer(&Reply::Refused(refusal), &[]),
    }
}

fn work(task: Task, file: Vec<u8>, limits: &FileLimits) -> Result<(Reply, Vec<u8>), NoPage> {
    match task {
        Task::InspectPdf => Ok((Reply::Pdf(pdf_file::inspect(file, limits)?), Vec::new())),
        Task::Draw { mime_type, page, watermark } => {
            draw(&mime_type, page, &watermark, file, limits)
        }
        Task::Probe => Err(ChildRefusal::Malformed { mime_type: String::new() }.into()),
    }
}

fn draw(
    mime_type: &str,
    number: u32,
    watermark: &Watermark,
    file: Vec<u8>,
    limits: &FileLimits,
) -> Result<(Reply, Vec<u8>), NoPage> {
    let malformed = || ChildRefusal::Malformed { mime_type: mime_type.to_owned() };
    let format = FileFormat::of_mime_type(mime_type).ok_or_else(malformed)?;
    let mut page = match format {
        FileFormat::Pdf => pdf_file::draw(file, number, limits)?,
        _ if number != 1 => return Err(NoPage::NoSuchPage { pages: 1 }),
        _ => image_file::draw(&file, format, limits)?,
    };
    watermark::mark(&mut page.image, watermark);
    let (width, height) = page.image.dimensions();
    let mut encoded = Vec::new();
    JpegEncoder::new_with_quality(&mut encoded, JPEG_QUALITY)
        .encode_image(&page.image)
        .map_err(|_| malformed())?;
    Ok((Reply::Page { width, height }, encoded))
}

fn answer(reply: &Reply, image: &[u8]) -> ExitCode {
    let mut output = std::io::stdout().lock();
    let written = output
        .write_all(&protocol::frame(reply))
        .and_then(|()| output.write_all(image))
        .and_then(|()| output.flush());
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
