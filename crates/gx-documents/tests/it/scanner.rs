//! FILE-05: nobody opens a document before the scanner has found it clean.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gx_documents::testing::{eicar, passport, selfie};
use gx_documents::{
    DocumentRetentionSettings, DocumentStatus, Housekeeper, PageError, ReceiveError, Refusal,
    Scanner, ScannerAddress, ScannerSettings, SweepReport, Verdict,
};
use gx_serve::health::Readiness;
use gx_serve::{CancellationToken, HealthBoard};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::world::{World, pieces, watermark};

/// A scanner that speaks clamd's protocol and gives the answer that a test wants.
struct ScriptedScanner {
    address: ScannerAddress,
    answer: Arc<Mutex<&'static str>>,
}

impl ScriptedScanner {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = ScannerAddress::Tcp(listener.local_addr().unwrap().to_string());
        let answer = Arc::new(Mutex::new(answer));
        let shared = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let now = *shared.lock().unwrap();
                tokio::spawn(serve(stream, now));
            }
        });
        Self { address, answer }
    }

    fn scanner(&self) -> Scanner {
        scanner_at(self.address.clone(), Duration::from_mins(1))
    }
}

fn scanner_at(address: ScannerAddress, timeout: Duration) -> Scanner {
    let settings = ScannerSettings { scanner: Some(address), scanner_timeout: timeout };
    Scanner::of(&settings).unwrap()
}

/// Reads one command with its content, and answers.
async fn serve(mut stream: TcpStream, answer: &'static str) {
    let mut command = Vec::new();
    while command.last() != Some(&0) {
        command.push(stream.read_u8().await.unwrap());
    }
    if answer == "hang up" {
        return;
    }
    if command == b"zPING\0" {
        return stream.write_all(b"PONG\0").await.unwrap();
    }
    if command == b"zINSTREAM\0" {
        loop {
            let length = stream.read_u32().await.unwrap();
            if length == 0 {
                break;
            }
            let mut piece = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut piece).await.unwrap();
        }
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn documents_of(world: &World) -> i64 {
    sqlx::query_scalar(r#"SELECT count(*) FROM "KYCDocument""#)
        .fetch_one(world.pool())
        .await
        .unwrap()
}

/// FILE-05: an infected upload is refused and leaves nothing.
#[tokio::test]
async fn file_05_an_infected_upload_is_refused() {
    let scripted = ScriptedScanner::start("stream: Eicar-Test-Signature FOUND\0").await;
    let world = World::with(Some(scripted.scanner())).await;
    let error = world.add(&passport()).await.err().unwrap();
    assert!(matches!(error, ReceiveError::Refused(Refusal::Infected)), "{error}");
    world.wait_until_clean().await;
    assert_eq!(documents_of(&world).await, 0);
}

/// FILE-05, RDY-08: while the scanner gives no verdict, a document is held and nobody opens it. The
/// sweeper asks again, and clears or rejects it.
#[tokio::test]
async fn file_05_a_document_is_held_until_the_scanner_has_a_verdict() {
    let scripted = ScriptedScanner::start("hang up").await;
    let world = World::with(Some(scripted.scanner())).await;
    assert!(world.documents.scanner().unwrap().ping().await.is_err());
    let held = world.add(&passport()).await.unwrap();
    assert_eq!(held.status, DocumentStatus::Quarantined);
    let error = world.documents.page(&held, 1, &watermark()).await.err().unwrap();
    assert!(matches!(error, PageError::Held), "{error}");
    let report = world.documents.sweep(world.pool()).await.unwrap();
    assert_eq!(report, SweepReport { held: 1, ..SweepReport::default() });

    *scripted.answer.lock().unwrap() = "INSTREAM size limit exceeded. ERROR\0";
    let report = world.documents.sweep(world.pool()).await.unwrap();
    assert_eq!(report, SweepReport { held: 1, ..SweepReport::default() });

    *scripted.answer.lock().unwrap() = "stream: OK\0";
    let report = world.documents.sweep(world.pool()).await.unwrap();
    assert_eq!(report, SweepReport { cleared: 1, ..SweepReport::default() });
    let cleared = world.document("anna", &held.document_id).await.unwrap();
    assert_eq!(cleared.status, DocumentStatus::Stored);

    *scripted.answer.lock().unwrap() = "hang up";
    let bad = world.add(&selfie()).await.unwrap();
    *scripted.answer.lock().unwrap() = "stream: Something.Bad FOUND\0";
    let report = world.documents.sweep(world.pool()).await.unwrap();
    assert_eq!(report, SweepReport { infected: 1, ..SweepReport::default() });
    let infected = world.document("anna", &bad.document_id).await.unwrap();
    assert_eq!((infected.status, infected.is_infected), (DocumentStatus::Rejected, true));
    let error = world.documents.page(&infected, 1, &watermark()).await.err().unwrap();
    assert!(matches!(error, PageError::Held), "{error}");
    world.documents.scanner().unwrap().ping().await.unwrap();
}

/// Keeps house until a condition on the checks of the board is met.
async fn keep_house_until(world: &World, is_met: impl AsyncFn(&Value, Readiness) -> bool) {
    let settings = DocumentRetentionSettings { retention_documents_days: 1_825 };
    let keeper = Housekeeper::new(world.documents.clone(), world.pool().clone(), settings);
    let board = HealthBoard::new("tester", world.clock.clone());
    let token = CancellationToken::new();
    let running = tokio::spawn(keeper.run(token.clone(), board.clone()));
    let mut last = Value::Null;
    for _ in 0..600 {
        let report = board.report().await;
        last = Value::Object(report.checks);
        if is_met(&last, report.status).await {
            token.cancel();
            return running.await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the condition is never met: {last}");
}

/// FILE-05, RDY-08: while the scanner is away, uploads are held, the service is degraded and says
/// how many documents wait. When the scanner is back, they are cleared without a request.
#[tokio::test]
async fn rdy_08_a_scanner_that_is_away_holds_uploads_and_degrades_the_service() {
    let scripted = ScriptedScanner::start("hang up").await;
    let world = World::with(Some(scripted.scanner())).await;
    let held = world.add(&passport()).await.unwrap();
    assert_eq!(held.status, DocumentStatus::Quarantined);
    keep_house_until(&world, async |checks, readiness| {
        let scanner = &checks["scanner"];
        let message = scanner["message"].as_str().unwrap_or_default();
        scanner["value"]["held"] == 1
            && message.contains("uploads are held until they can be scanned")
            && readiness == Readiness::Degraded
    })
    .await;

    *scripted.answer.lock().unwrap() = "stream: OK\0";
    keep_house_until(&world, async |checks, readiness| {
        let document = world.document("anna", &held.document_id).await.unwrap();
        document.status == DocumentStatus::Stored
            && checks["scanner"]["value"]["held"] == 0
            && readiness == Readiness::Ready
    })
    .await;
}

/// RDY-08: without a scanner, as in development, documents are stored at once and nothing is
/// degraded.
#[tokio::test]
async fn rdy_08_without_a_scanner_documents_are_stored_at_once() {
    let world = World::new().await;
    let document = world.add(&passport()).await.unwrap();
    assert_eq!(document.status, DocumentStatus::Stored);
    keep_house_until(&world, async |checks, readiness| {
        let message = checks["scanner"]["message"].as_str().unwrap_or_default();
        message.contains("GX_SCANNER is not set") && readiness == Readiness::Ready
    })
    .await;
}

/// Debian's clamd with a signature file of its own.
struct Clamd {
    _child: Child,
    folder: TempDir,
}

/// Returns where Debian installs clamd, or `None` if it is not installed.
fn clamd_program() -> Option<&'static Path> {
    Some(Path::new("/usr/sbin/clamd")).filter(|program| program.exists())
}

impl Clamd {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn scanner(&self) -> Scanner {
        scanner_at(ScannerAddress::Unix(self.socket()), Duration::from_mins(1))
    }

    /// Starts clamd with a signature of the test file only.
    async fn start(program: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("signatures")).unwrap();
        let signature = format!("Eicar-Test:0:*:{}\n", hex::encode(eicar()));
        std::fs::write(path("signatures/eicar.ndb"), signature).unwrap();
        let settings = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nTemporaryDirectory {}\n\
             OfficialDatabaseOnly no\n",
            path("socket").display(),
            path("signatures").display(),
            folder.path().display(),
        );
        std::fs::write(path("clamd.conf"), settings).unwrap();
        let child = Command::new(program)
            .arg("--config-file")
            .arg(path("clamd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let clamd = Self { _child: child, folder };
        for _ in 0..600 {
            if clamd.scanner().ping().await.is_ok() {
                return clamd;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("clamd does not answer");
    }
}

/// FILE-05: Debian's clamd finds the test file, which is put together here, and clears a passport.
/// `scripts/setup clamav` installs clamd.
#[tokio::test]
async fn file_05_clamd_finds_the_test_file() {
    let program = clamd_program().expect("clamd is installed by `scripts/setup clamav`");
    let clamd = Clamd::start(program).await;
    let found = clamd.scanner().scan(pieces(&eicar())).await.unwrap();
    assert!(matches!(found, Verdict::Infected { .. }), "{found:?}");
    let world = World::with(Some(clamd.scanner())).await;
    let document = world.add(&passport()).await.unwrap();
    assert_eq!(document.status, DocumentStatus::Stored);
    let mut infected = gx_documents::testing::png_of_chunks(&[(b"teXt", &eicar())]);
    let still = selfie();
    infected.splice(..8, still[..33].iter().copied());
    infected.extend_from_slice(&still[33..]);
    let error = world.add(&infected).await.err().unwrap();
    assert!(matches!(error, ReceiveError::Refused(Refusal::Infected)), "{error}");
}
