//! The order in which a process stops: unready first, then no new work, then the end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::health::HealthBoard;

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn shutdown_signal() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// Makes the boards unready, waits until load balancers have noticed, then stops everything
/// that holds the token (RDY-06).
pub async fn stop(boards: &[HealthBoard], notice: Duration, token: &CancellationToken) {
    for board in boards {
        board.drain();
    }
    tokio::time::sleep(notice).await;
    token.cancel();
}
