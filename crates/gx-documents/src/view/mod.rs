//! Shows documents as pixels. A child process of the same binary decodes the file, marks the pixels
//! and encodes them again; it has neither network nor files, and limits of memory and time. Called
//! by the repository for a page, and by the intake to look into a PDF.
//!
//! Nothing of a file but pixels leaves the child: no metadata, no text, no script.

mod child;
mod protocol;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::format::FileFormat;
use crate::intake::{FileLimits, Refusal};

use protocol::{Reply, Request, Task};

pub use child::render_page;
pub use protocol::{Confinement, PdfFacts};

/// Limit of what a child process returns, in bytes.
const MAX_REPLY_BYTES: u64 = 32 * 1024 * 1024;
/// Limit of the requests that wait for a child process.
const MAX_WAITING: usize = 32;
/// Media type of pages.
pub const PAGE_MIME_TYPE: &str = "image/jpeg";

/// How pages are drawn.
#[derive(Clone, Debug, clap::Args)]
pub struct ViewSettings {
    /// Number of processes that draw pages at the same time; each may take 768 MiB.
    #[arg(long, env = "GX_RENDER_PROCESSES", default_value = "2",
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub render_processes: u16,
    /// How long the drawing of a page may take, such as 20s.
    #[arg(long, env = "GX_RENDER_TIMEOUT", default_value = "20s",
          value_parser = gx_serve::settings::duration)]
    pub render_timeout: Duration,
}

/// The program that is started for each page.
#[derive(Clone, Debug)]
pub struct RenderProgram {
    /// Path of the program.
    pub program: PathBuf,
    /// Its arguments, such as `render-page`.
    pub arguments: Vec<String>,
}

/// Returns a program that draws nothing: the image of each page is what the program was asked, with
/// the watermark, and the file. For tests of what happens around a page.
#[cfg(feature = "testing")]
pub(crate) fn echo_program() -> RenderProgram {
    use std::fmt::Write as _;
    let mut reply = String::new();
    for byte in protocol::frame(&Reply::Page { width: 1, height: 1 }) {
        // Writing to a text cannot fail.
        let _ = write!(reply, "\\{byte:03o}");
    }
    let script = format!("printf '{reply}'; exec /bin/cat");
    RenderProgram { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script] }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The file is refused: it is damaged, or it has what no document needs.
    #[error("the file cannot be shown: {0}")]
    Refused(Refusal),
    /// The document has no such page.
    #[error("the document has {pages} pages; ask for one of them")]
    NoSuchPage {
        /// Number of pages.
        pages: u32,
    },
    /// Too many pages are being drawn.
    #[error("too many pages are being drawn; try again later")]
    Busy,
    /// The drawing took too long.
    #[error("the drawing of a page took more than {0:?}; look at the original on another way")]
    Timeout(Duration),
    /// The process that draws has crashed or was killed.
    #[error(
        "the process that draws pages has ended without a page ({status}); the file may be built \
         to crash it"
    )]
    Crashed {
        /// How it has ended.
        status: String,
    },
    /// The process cannot be started or talked to.
    #[error("the process that draws pages cannot be started; check the binary and its limits")]
    Process(#[source] std::io::Error),
    /// The file cannot be read.
    #[error("a stored file cannot be read")]
    Content(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the pixels say about who looks at them: text of one to three lines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Watermark {
    /// Who looks.
    pub viewer: String,
    /// The case that is looked at.
    pub case: String,
    /// When.
    pub at: String,
}

/// A page as an image of the type [`PAGE_MIME_TYPE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageImage {
    /// The encoded image.
    pub bytes: Bytes,
    /// Width, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
}

/// Starts child processes, a bounded number at a time. Clones share the bound.
#[derive(Clone, Debug)]
pub struct Renderer {
    program: RenderProgram,
    timeout: Duration,
    limits: FileLimits,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Renderer {
    /// Creates a renderer that starts `program`.
    pub fn new(program: RenderProgram, settings: &ViewSettings, limits: FileLimits) -> Self {
        let processes = usize::from(settings.render_processes);
        Self {
            program,
            timeout: settings.render_timeout,
            limits,
            running: Arc::new(Semaphore::new(processes)),
            admitted: Arc::new(Semaphore::new(processes + MAX_WAITING)),
        }
    }

    /// Draws a page, which is counted from 1.
    ///
    /// # Errors
    /// [`ViewError`] if there is no page.
    pub async fn page<E>(
        &self,
        format: FileFormat,
        number: u32,
        watermark: &Watermark,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<PageImage, ViewError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let mime_type = format.mime_type().to_owned();
        let task = Task::Draw { mime_type, page: number, watermark: watermark.clone() };
        match self.run(task, content).await? {
            (Reply::Page { width, height }, bytes) => Ok(PageImage { bytes, width, height }),
            (Reply::NoSuchPage { pages }, _) => Err(ViewError::NoSuchPage { pages }),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Looks into a PDF and returns what the intake needs to know.
    ///
    /// # Errors
    /// [`ViewError::Refused`] if it is encrypted, has scripts or attachments, or too many pages.
    pub async fn inspect_pdf<E>(
        &self,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<PdfFacts, ViewError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        match self.run(Task::InspectPdf, content).await? {
            (Reply::Pdf(facts), _) => Ok(facts),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Starts a process that tries what it must not be able to do, and returns what it could do.
    ///
    /// # Errors
    /// [`ViewError`] if the process cannot be started or has crashed.
    pub async fn probe(&self) -> Result<Confinement, ViewError> {
        let nothing = futures_util::stream::empty::<Result<Bytes, std::io::Error>>();
        match self.run(Task::Probe, nothing).await? {
            (Reply::Confinement(found), _) => Ok(found),
            (other, _) => Err(unexpected(other)),
        }
    }

    async fn run<E>(
        &self,
        task: Task,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<(Reply, Bytes), ViewError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let _place = self.admitted.try_acquire().map_err(|_| ViewError::Busy)?;
        let _turn = self.running.acquire().await.expect("the semaphore is never closed");
        let request = Request {
            task,
            limits: self.limits.into(),
            cpu_seconds: self.timeout.as_secs().max(1),
        };
        let mut child = self.start().map_err(ViewError::Process)?;
        let talked = tokio::time::timeout(self.timeout, talk(&mut child, &request, content)).await;
        match talked {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(crashed(&mut child).await),
            Ok(Err(error)) => Err(error),
            // The process is killed when it is dropped.
            Err(_) => Err(ViewError::Timeout(self.timeout)),
        }
    }

    /// Starts the process with an empty environment, so that it has no secrets of the settings.
    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program.program)
            .args(&self.program.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Returns the error for a reply that is no result.
fn unexpected(reply: Reply) -> ViewError {
    match reply {
        Reply::Refused(refusal) => ViewError::Refused(refusal.into()),
        Reply::Failed { reason } => ViewError::Crashed { status: reason },
        other => ViewError::Crashed { status: format!("it answered with {}", other.name()) },
    }
}

async fn crashed(child: &mut Child) -> ViewError {
    // The process has closed its output, and what keeps it alive is killed.
    let _ = child.start_kill();
    match child.wait().await {
        Ok(status) => ViewError::Crashed { status: status.to_string() },
        Err(error) => ViewError::Process(error),
    }
}

/// Sends the request and the file and returns the reply, or `None` if the process ended without
/// one.
async fn talk<E>(
    child: &mut Child,
    request: &Request,
    content: impl Stream<Item = Result<Bytes, E>> + Send,
) -> Result<Option<(Reply, Bytes)>, ViewError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut input = child.stdin.take().expect("the input is a pipe");
    let output = child.stdout.take().expect("the output is a pipe");
    let send = async {
        // A process that has seen enough closes its input; its reply says why.
        let mut is_open = input.write_all(&protocol::frame(request)).await.is_ok();
        let mut content = std::pin::pin!(content);
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|why| ViewError::Content(why.into()))?;
            if is_open {
                is_open = input.write_all(&piece).await.is_ok();
            }
        }
        drop(input);
        Ok::<(), ViewError>(())
    };
    let receive = async {
        let mut bytes = Vec::new();
        let read = output.take(MAX_REPLY_BYTES).read_to_end(&mut bytes).await;
        read.map_err(ViewError::Process)?;
        Ok::<Vec<u8>, ViewError>(bytes)
    };
    let ((), bytes) = tokio::try_join!(send, receive)?;
    let bytes = Bytes::from(bytes);
    Ok(protocol::split(&bytes).map(|(reply, rest)| (reply, bytes.slice(rest..))))
}
