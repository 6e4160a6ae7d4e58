//! The order in which a process stops: first not ready, then without new work, then ended. Every
//! role waits for [`shutdown_signal`].

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::health::HealthBoard;

/// Waits for SIGTERM or SIGINT and returns its name.
///
/// # Errors
/// `io::Error` if the signal handlers cannot be installed.
pub async fn shutdown_signal() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// Makes the boards not ready, waits `notice` for load balancers, then cancels the token (RDY-06).
pub async fn stop(boards: &[HealthBoard], notice: Duration, token: &CancellationToken) {
    for board in boards {
        board.drain();
    }
    tokio::time::sleep(notice).await;
    token.cancel();
}
