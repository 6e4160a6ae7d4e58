//! Measures how documents come in: whole uploads, and their encryption alone. The rows are in
//! `ROWS`.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use gx_auth::KeyRing;
use gx_auth::key_ring::new_line;
use gx_db::{DatabaseSettings, PgPool, ProfileId};
use gx_documents::testing::{claim, documents_in, echo_program, png, png_of_chunks};
use gx_documents::{DocumentType, Documents, Encryptor, FileClaim, FileKey, Upload};
use gx_model::Clock;
use gx_serve::Entropy;
use gx_serve::problem::ErrorChain;
use sqlx::Connection as _;

use crate::error::BenchError;
use crate::people;
use crate::progress::show_line;
use crate::row::{Measurement, Measuring, Plan, Repetition, Row, RowTarget, as_rate, quantile};

/// Whole uploads.
pub(crate) const UPLOAD: Row = Row {
    name: "document-upload",
    about: "documents of 1 MiB taken in one by one: inspected, encrypted, on disk; from the median",
    unit: "1/s",
    target: RowTarget::PartOfLimit(0.5),
    limit: "files with the same bytes, written with fsync; from the median",
    sizes: &[200],
    warm_up: 0,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(uploads(plan)) as Measuring<'_>,
};

/// The encryption alone.
pub(crate) const ENCRYPTION: Row = Row {
    name: "document-encryption",
    about: "documents of 1 MiB encrypted in chunks of 64 KiB in memory, on one core",
    unit: "MiB/s",
    target: RowTarget::PartOfLimit(0.5),
    limit: "`openssl speed` of AES-256-GCM with blocks of 64 KiB, on one core",
    sizes: &[2_000],
    warm_up: 0,
    needs_network: false,
    checks: &[],
    measure: |plan| Box::pin(async move { encryption(plan) }) as Measuring<'_>,
};

/// The database of the rows of documents.
const DATABASE: &str = "documents";
/// Number of people who hand documents in.
const PEOPLE: u64 = 100;
/// Size of a document, in bytes.
const DOCUMENT_BYTES: usize = 1024 * 1024;
/// Size of the pieces in which a document comes, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

async fn uploads(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    plan.postgres.remove(DATABASE).await?;
    plan.postgres.migrated(DATABASE).await?;
    let mut conn = plan.postgres.connect(DATABASE).await?;
    people::add(&mut conn, 0..PEOPLE).await?;
    conn.close().await?;
    let settings = DatabaseSettings::from_url(plan.postgres.url(DATABASE).into());
    let database = gx_db::connect(&settings).await?;
    let documents = documents_in_scratch(plan)?;
    let (picture, plain) = (picture(), plan.scratch.path().join("plain"));
    let (mut measurement, mut next) = (Measurement::default(), 0);
    for number in 0..=plan.repetitions {
        let mut times_ms = [vec![], vec![]];
        for _ in 0..plan.operations {
            // Interleaved, so that other load affects both.
            times_ms[0].push(write_ms(&plain, &picture)?);
            times_ms[1].push(upload_ms(&documents, database.pool(), next, &picture).await?);
            next += 1;
        }
        // The first round is a warm-up.
        if number == 0 {
            continue;
        }
        let [write, upload] = times_ms.map(|mut times| quantile(&mut times, 0.5));
        let mut repetition =
            Repetition { measured: 1e3 / upload, limit: 1e3 / write, ..Default::default() };
        repetition.parts.insert("one upload, ms".to_owned(), upload);
        repetition.limit_parts.insert("one file, ms".to_owned(), write);
        show_line(format_args!("  {number}: {upload:.2} ms of {write:.2}"));
        measurement.repetitions.push(repetition);
    }
    database.close().await;
    plan.postgres.remove(DATABASE).await?;
    Ok(measurement)
}

/// Returns documents whose stores are on the disk of the project.
fn documents_in_scratch(plan: &Plan<'_>) -> Result<Documents, BenchError> {
    let entropy = Entropy::system();
    let ring = KeyRing::parse(&new_line(1, &entropy), entropy.clone())
        .map_err(|error| BenchError::Documents(ErrorChain(&error).to_string()))?;
    let folder = plan.scratch.path();
    Ok(documents_in(folder, ring, &Clock::system(), &entropy, echo_program()))
}

/// Returns the duration of one upload in milliseconds.
async fn upload_ms(
    documents: &Documents,
    pool: &PgPool,
    next: u64,
    picture: &[u8],
) -> Result<f64, BenchError> {
    let failed =
        |error: &dyn std::error::Error| BenchError::Documents(ErrorChain(error).to_string());
    let upload = Upload {
        profile_id: ProfileId::from(people::profile_id(next % PEOPLE)),
        document: claim(DocumentType::ProofOfAddress, None, &format!("number {next}")),
        file: FileClaim::default(),
    };
    let pieces: Vec<_> = picture
        .chunks(PIECE_BYTES)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec().into()))
        .collect();
    let start = Instant::now();
    let content = tokio_stream::iter(pieces);
    let received =
        documents.receive(pool, upload, content).await.map_err(|error| failed(&error))?;
    let mut tx = pool.begin().await?;
    documents.commit(&mut tx, &received).await.map_err(|error| failed(&error))?;
    tx.commit().await?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Returns the duration of writing a new file in milliseconds.
fn write_ms(path: &Path, bytes: &[u8]) -> Result<f64, BenchError> {
    let start = Instant::now();
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let time_ms = start.elapsed().as_secs_f64() * 1e3;
    fs::remove_file(path)?;
    Ok(time_ms)
}

/// Returns a PNG of the size of a document, whose bytes cannot be compressed.
fn picture() -> Vec<u8> {
    let (still, content) = (png(8, 8), noise(DOCUMENT_BYTES - 256));
    let padding = png_of_chunks(&[(b"gxXx", content.as_slice())]);
    // Chunks begin behind a signature of 8 bytes, and the header chunk ends at 33.
    [&still[..33], &padding[8..], &still[33..]].concat()
}

/// Returns bytes without regularity.
fn noise(length: usize) -> Vec<u8> {
    let entropy = Entropy::seeded(7);
    let mut bytes = Vec::with_capacity(length + 1024);
    while bytes.len() < length {
        bytes.extend_from_slice(&entropy.bytes::<1024>());
    }
    bytes.truncate(length);
    bytes
}

fn encryption(plan: &Plan<'_>) -> Result<Measurement, BenchError> {
    let (key, document, entropy) =
        (FileKey::new(&Entropy::seeded(1)), noise(DOCUMENT_BYTES), Entropy::system());
    let mut measurement = Measurement::default();
    let mut sealed = Vec::with_capacity(2 * DOCUMENT_BYTES);
    for number in 0..=plan.repetitions {
        let limit = openssl_mib_per_s(plan)?;
        let start = Instant::now();
        for _ in 0..plan.operations {
            sealed.clear();
            let mut encryptor = Encryptor::new(&key, "a document", &entropy);
            for piece in document.chunks(PIECE_BYTES) {
                encryptor.push(piece, &mut sealed);
            }
            encryptor.finish(&mut sealed);
            black_box(&sealed);
        }
        let measured = as_rate(plan.operations) / start.elapsed().as_secs_f64();
        // The first round is a warm-up.
        if number == 0 {
            continue;
        }
        show_line(format_args!("  {number}: {measured:.0} MiB/s of {limit:.0}"));
        measurement.repetitions.push(Repetition { measured, limit, ..Default::default() });
    }
    Ok(measurement)
}

/// Returns what `openssl speed` prints for AES-256-GCM.
fn openssl_mib_per_s(plan: &Plan<'_>) -> Result<f64, BenchError> {
    // It measures for whole seconds.
    let seconds = plan.limit_time.as_secs().max(1).to_string();
    let arguments = ["speed", "-elapsed", "-seconds", &seconds, "-bytes", "65536"];
    let output = Command::new("openssl").args(arguments).args(["-evp", "aes-256-gcm"]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let thousands = printed.lines().rev().find_map(rate_of);
    let thousands = thousands.ok_or_else(|| BenchError::Openssl {
        output: format!("{printed}{}", String::from_utf8_lossy(&output.stderr)),
    })?;
    Ok(thousands * 1e3 / as_rate(1024 * 1024))
}

/// Returns the thousands of bytes a second in a line such as `AES-256-GCM   3357671.42k`.
fn rate_of(line: &str) -> Option<f64> {
    line.split_whitespace().next_back()?.strip_suffix('k')?.parse().ok()
}
