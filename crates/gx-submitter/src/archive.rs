//! Moves settled commands and ended attempts to the archive, in a small part of the time. `run`
//! starts it as a task next to the steps.

use std::time::Duration;

use gx_outbox::submitter::Archiver;
use tokio::time::Instant;

use crate::submitter::SubmitterContext;

/// Pause between two passes over the outbox.
const PASS_PAUSE: Duration = Duration::from_secs(60);
/// Factor by which the pause after a step is longer than the step.
const REST_AFTER_STEP: u32 = 4;

/// Archives until the future is dropped. After a database error it continues with the next pass.
pub(crate) async fn archive(context: SubmitterContext, keep: Duration) {
    let mut archiver = Archiver::new(keep);
    loop {
        match step(&context, &mut archiver).await {
            Ok(Some(rest)) => tokio::time::sleep(rest).await,
            Ok(None) => tokio::time::sleep(PASS_PAUSE).await,
            Err(error) => {
                tracing::warn!(error = %error, "settled commands cannot be archived; trying again in 60 s");
                tokio::time::sleep(PASS_PAUSE).await;
            }
        }
    }
}

/// Archives one step and returns the pause before the next step, or `None` at the end of a pass.
async fn step(
    context: &SubmitterContext,
    archiver: &mut Archiver,
) -> Result<Option<Duration>, sqlx::Error> {
    let began = Instant::now();
    let mut conn = context.pool.acquire().await?;
    let done = archiver.step(&mut conn, context.clock.now()).await?;
    metrics::counter!("gx_outbox_archived_total", "what" => "commands").increment(done.commands);
    metrics::counter!("gx_outbox_archived_total", "what" => "attempts").increment(done.attempts);
    Ok((!done.is_complete).then(|| began.elapsed() * REST_AFTER_STEP))
}
