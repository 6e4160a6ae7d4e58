//! Moves finished commands to the archive, beside the steps and at a fraction of their time.

use std::time::Duration;

use gx_outbox::Archiver;
use tokio::time::Instant;

use crate::submitter::Parts;

/// Pause between two passes over the outbox.
const PASS_PAUSE: Duration = Duration::from_secs(60);
/// After each step, this many times as long is left to others.
const REST_AFTER_STEP: u32 = 4;

/// Goes on until it is dropped; a database that fails is tried again with the next pass.
pub(crate) async fn archive(parts: Parts, keep: Duration) {
    let mut archiver = Archiver::new(keep);
    loop {
        match step(&parts, &mut archiver).await {
            Ok(Some(rest)) => tokio::time::sleep(rest).await,
            Ok(None) => tokio::time::sleep(PASS_PAUSE).await,
            Err(error) => {
                tracing::warn!(error = %error, "finished commands were not archived");
                tokio::time::sleep(PASS_PAUSE).await;
            }
        }
    }
}

/// How long to rest before the next step; none once the pass is over.
async fn step(parts: &Parts, archiver: &mut Archiver) -> Result<Option<Duration>, sqlx::Error> {
    let began = Instant::now();
    let mut conn = parts.pool.acquire().await?;
    let done = archiver.step(&mut conn, parts.clock.now()).await?;
    metrics::counter!("gx_outbox_archived_total", "what" => "commands").increment(done.commands);
    metrics::counter!("gx_outbox_archived_total", "what" => "attempts").increment(done.attempts);
    Ok((!done.all).then(|| began.elapsed() * REST_AFTER_STEP))
}
