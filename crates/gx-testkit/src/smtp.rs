//! A small mail server for one test: it takes mails over SMTP, plain or with TLS, and can refuse
//! them or fall silent. Called by tests of mail.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How connections to the server are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpEncryption {
    /// Not at all.
    None,
    /// From the start.
    Tls,
    /// By STARTTLS.
    StartTls,
}

/// What the server does with mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpPlan {
    /// Takes them.
    Accept,
    /// Answers each receiver with this code.
    Answer(u16),
    /// Answers nothing until the plan changes.
    Silent,
    /// Takes them, and then answers nothing until the plan changes.
    SilentAtEnd,
    /// Takes them, and then closes the connection without an answer.
    HangUpAtEnd,
}

/// A mail that the server has taken.
#[derive(Clone, Debug)]
pub struct ReceivedMail {
    /// The receiver of the envelope.
    pub to: String,
    /// Head and text.
    pub data: String,
    /// Whether it came over TLS.
    pub is_encrypted: bool,
}

struct State {
    plan: watch::Sender<SmtpPlan>,
    mails: Vec<ReceivedMail>,
    connections: usize,
}

/// The server. It ends when it is dropped.
pub struct SmtpServer {
    port: u16,
    encryption: SmtpEncryption,
    state: Arc<Mutex<State>>,
    folder: TempDir,
    task: JoinHandle<()>,
}

impl SmtpServer {
    /// Starts a server on a free port of 127.0.0.1, with a certificate for `localhost`.
    pub async fn start(encryption: SmtpEncryption) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let acceptor = acceptor(&certificate.pem(), &key.serialize_pem());
        let state =
            State { plan: watch::Sender::new(SmtpPlan::Accept), mails: Vec::new(), connections: 0 };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                lock(&shared).connections += 1;
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(serve(stream, encryption, acceptor, shared));
            }
        });
        Self { port, encryption, state, folder, task }
    }

    /// Returns the address for `GX_SMTP_URL`.
    pub fn url(&self) -> String {
        let port = self.port;
        match self.encryption {
            SmtpEncryption::None => format!("smtp://localhost:{port}"),
            SmtpEncryption::Tls => format!("smtps://localhost:{port}"),
            SmtpEncryption::StartTls => format!("smtp://localhost:{port}?tls=required"),
        }
    }

    /// Returns the file for `GX_SMTP_CA_FILE`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Changes what the server does with mails.
    pub fn set_plan(&self, plan: SmtpPlan) {
        lock(&self.state).plan.send_replace(plan);
    }

    /// Returns the mails that the server has taken so far.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        lock(&self.state).mails.clone()
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn acceptor(certificate_pem: &str, key_pem: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Serves one connection. A client that goes away ends it.
async fn serve(
    stream: TcpStream,
    encryption: SmtpEncryption,
    acceptor: TlsAcceptor,
    state: Arc<Mutex<State>>,
) {
    let Some(stream) = (match encryption {
        SmtpEncryption::Tls => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let _ended = talk(stream, true, false, true, &state).await;
            return;
        }
        SmtpEncryption::None => talk(stream, false, false, true, &state).await,
        SmtpEncryption::StartTls => talk(stream, false, true, true, &state).await,
    }) else {
        return;
    };
    // The client has asked for TLS.
    if let Ok(stream) = acceptor.accept(stream).await {
        let _ended = talk(stream, true, false, false, &state).await;
    }
}

/// Talks SMTP until the client goes away, or returns the stream when the client asks for TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    is_encrypted: bool,
    offers_tls: bool,
    greets: bool,
    state: &Mutex<State>,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if greets {
        say(&mut stream, state, "220 localhost").await?;
    }
    let mut to = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let plan = *lock(state).plan.borrow();
        let command = line.trim_end().to_ascii_uppercase();
        let answer = if command.starts_with("EHLO") {
            if offers_tls {
                "250-localhost\r\n250 STARTTLS"
            } else {
                "250-localhost\r\n250 8BITMIME"
            }
            .to_owned()
        } else if command.starts_with("STARTTLS") && offers_tls {
            say(&mut stream, state, "220 go on").await?;
            return Some(stream.into_inner());
        } else if command.starts_with("RCPT TO:") {
            let address = line.split(['<', '>']).nth(1).unwrap_or_default();
            address.clone_into(&mut to);
            match plan {
                SmtpPlan::Answer(code) => format!("{code} not now <{to}>"),
                _ => "250 ok".to_owned(),
            }
        } else if command == "DATA" {
            say(&mut stream, state, "354 go on").await?;
            let data = read_data(&mut stream).await?;
            let mail = ReceivedMail { to: to.clone(), data, is_encrypted };
            lock(state).mails.push(mail);
            match plan {
                SmtpPlan::SilentAtEnd => wait_until_not(state, SmtpPlan::SilentAtEnd).await?,
                SmtpPlan::HangUpAtEnd => return None,
                SmtpPlan::Accept | SmtpPlan::Answer(_) | SmtpPlan::Silent => {}
            }
            "250 taken".to_owned()
        } else if command == "QUIT" {
            say(&mut stream, state, "221 bye").await?;
            return None;
        } else {
            "250 ok".to_owned()
        };
        say(&mut stream, state, &answer).await?;
    }
}

/// Answers, after a silence if that is the plan.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    state: &Mutex<State>,
    answer: &str,
) -> Option<()> {
    wait_until_not(state, SmtpPlan::Silent).await?;
    stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    stream.get_mut().flush().await.ok()
}

/// Waits until the plan is another one.
async fn wait_until_not(state: &Mutex<State>, plan: SmtpPlan) -> Option<()> {
    let mut plans = lock(state).plan.subscribe();
    plans.wait_for(|now| *now != plan).await.ok().map(drop)
}

/// Reads a mail to the line with a dot alone.
async fn read_data<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(data);
        }
        data.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
