//! Asks clamd about a file, by its command INSTREAM. Called by the intake, and by the sweeper for
//! files that came in while the scanner was away.
//!
//! The protocol is small: the command, then pieces with their length in front, then an empty one,
//! and one line as the answer. A client library would add a dependency and hide the limits on time.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Limit of the answer of the scanner, in bytes.
const MAX_ANSWER_BYTES: u64 = 4096;

/// Longest wait for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// The command that is followed by a file.
const IN_STREAM: &[u8] = b"zINSTREAM\0";

/// Where the scanner listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScannerAddress {
    /// A host and a port.
    Tcp(String),
    /// A socket of this machine.
    Unix(PathBuf),
}

impl FromStr for ScannerAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text.strip_prefix("unix:"), text.strip_prefix("tcp:")) {
            (Some(path), _) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            (_, Some(address)) if address.contains(':') => Ok(Self::Tcp(address.to_owned())),
            _ => Err("must be `unix:` with the path of a socket, or `tcp:HOST:PORT`"),
        }
    }
}

impl fmt::Display for ScannerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The malware scanner.
#[derive(Clone, Debug, clap::Args)]
pub struct ScannerSettings {
    /// Socket of clamd, such as unix:/run/clamav/clamd.ctl or tcp:clamd:3310. Without it, documents
    /// are not scanned.
    #[arg(long, env = "GX_SCANNER")]
    pub scanner: Option<ScannerAddress>,
    /// How long the scanner may take for one file, such as 30s.
    #[arg(long, env = "GX_SCANNER_TIMEOUT", default_value = "30s",
          value_parser = gx_serve::settings::duration)]
    pub scanner_timeout: Duration,
}

/// What the scanner says about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Clean,
    /// Malware was found.
    Infected {
        /// Name of the malware, as the scanner has it.
        name: String,
    },
}

/// Why there is no verdict. The file is held until there is one.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The scanner cannot be reached, or the connection was lost.
    #[error("the malware scanner cannot be reached; check GX_SCANNER and clamd")]
    Unreachable(#[source] std::io::Error),
    /// The scanner took too long.
    #[error("the malware scanner took more than {0:?}; check the load of clamd")]
    Timeout(Duration),
    /// The scanner did not scan the file.
    #[error("the malware scanner did not scan a file: {0}; check the log and limits of clamd")]
    Refused(String),
    /// The file cannot be read.
    #[error("a stored file cannot be read to scan it")]
    Content(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A connection to the scanner. Clones ask the same scanner.
#[derive(Clone, Debug)]
pub struct Scanner {
    address: ScannerAddress,
    timeout: Duration,
}

impl Scanner {
    /// Returns the scanner of the settings, or `None` if they name none.
    pub fn of(settings: &ScannerSettings) -> Option<Self> {
        let address = settings.scanner.clone()?;
        Some(Self { address, timeout: settings.scanner_timeout })
    }

    /// Asks the scanner whether it is there.
    ///
    /// # Errors
    /// [`ScanError`] if it does not answer.
    pub async fn ping(&self) -> Result<(), ScanError> {
        let answer = self.ask(b"zPING\0", futures_util::stream::empty::<Result<_, ScanError>>());
        match limited(self.timeout.min(PING_TIMEOUT), answer).await?.as_str() {
            "PONG" => Ok(()),
            other => Err(ScanError::Refused(other.to_owned())),
        }
    }

    /// Sends a file to the scanner and returns the verdict.
    ///
    /// # Errors
    /// [`ScanError`] if there is no verdict.
    pub async fn scan<E>(
        &self,
        content: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Verdict, ScanError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let content = content.map(|piece| piece.map_err(|why| ScanError::Content(why.into())));
        let answer = limited(self.timeout, self.ask(IN_STREAM, content)).await?;
        let verdict = verdict(&answer)?;
        let label = if verdict == Verdict::Clean { "clean" } else { "infected" };
        metrics::counter!("gx_documents_scanned_total", "verdict" => label).increment(1);
        Ok(verdict)
    }

    async fn ask(
        &self,
        command: &[u8],
        content: impl Stream<Item = Result<Bytes, ScanError>> + Send,
    ) -> Result<String, ScanError> {
        match &self.address {
            ScannerAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(ScanError::Unreachable)?;
                talk(stream, command, content).await
            }
            ScannerAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(ScanError::Unreachable)?;
                talk(stream, command, content).await
            }
        }
    }
}

/// Limits the time of an exchange with the scanner.
async fn limited<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, ScanError>>,
) -> Result<T, ScanError> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(ScanError::Timeout(timeout)))
}

/// Sends a command, and content if the command has any, and returns the answer.
async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    command: &[u8],
    content: impl Stream<Item = Result<Bytes, ScanError>> + Send,
) -> Result<String, ScanError> {
    // A scanner that refuses a file answers before the end and closes, so that a write may fail
    // although there is an answer.
    let sent = send(&mut stream, command, content).await;
    if matches!(sent, Err(ScanError::Content(_))) {
        return sent.map(|()| String::new());
    }
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await;
    if answer.is_empty() {
        sent?;
        read.map_err(ScanError::Unreachable)?;
        return Err(ScanError::Unreachable(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let text = String::from_utf8_lossy(&answer);
    Ok(text.trim_end_matches(['\0', '\n']).to_owned())
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    command: &[u8],
    content: impl Stream<Item = Result<Bytes, ScanError>> + Send,
) -> Result<(), ScanError> {
    stream.write_all(command).await.map_err(ScanError::Unreachable)?;
    let mut content = std::pin::pin!(content);
    while let Some(piece) = content.next().await {
        let piece = piece?;
        if piece.is_empty() {
            continue;
        }
        let length = u32::try_from(piece.len()).expect("a piece of an upload is far below 4 GiB");
        stream.write_all(&length.to_be_bytes()).await.map_err(ScanError::Unreachable)?;
        stream.write_all(&piece).await.map_err(ScanError::Unreachable)?;
    }
    if command == IN_STREAM {
        stream.write_all(&[0; 4]).await.map_err(ScanError::Unreachable)?;
    }
    stream.flush().await.map_err(ScanError::Unreachable)
}

/// Reads the answer to INSTREAM.
fn verdict(answer: &str) -> Result<Verdict, ScanError> {
    let result = answer.strip_prefix("stream: ").unwrap_or(answer);
    if result == "OK" {
        return Ok(Verdict::Clean);
    }
    match result.strip_suffix(" FOUND") {
        Some(name) => Ok(Verdict::Infected { name: name.to_owned() }),
        None => Err(ScanError::Refused(answer.chars().take(200).collect())),
    }
}
