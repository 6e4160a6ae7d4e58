//! What runs in one process: started piece by piece, stopped together.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use gx_serve::shutdown::{shutdown_signal, stop};
use gx_serve::{CancellationToken, HealthBoard, Server, server};
use tokio::task::JoinSet;

use crate::Failure;

/// Listeners and loops that share one end.
#[derive(Default)]
pub(crate) struct Process {
    token: CancellationToken,
    boards: Vec<HealthBoard>,
    tasks: JoinSet<Result<(), Failure>>,
}

impl Process {
    /// Cancelled when the process is to end.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Has the board say that it is unready before anything ends.
    pub(crate) fn watch(&mut self, board: &HealthBoard) {
        self.boards.push(board.clone());
    }

    /// Runs a loop that ends when the token is cancelled.
    pub(crate) fn run(&mut self, work: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Takes the port and serves on it.
    pub(crate) async fn listen(
        &mut self,
        what: &str,
        address: SocketAddr,
        router: Router,
    ) -> Result<(), Failure> {
        let listener = server::bind(what, address).await?;
        self.serve(what, Server::new(listener, router));
        Ok(())
    }

    /// The same over TLS.
    #[cfg(feature = "dev")]
    pub(crate) async fn listen_tls(
        &mut self,
        what: &str,
        address: SocketAddr,
        router: Router,
        tls: std::sync::Arc<rustls::ServerConfig>,
    ) -> Result<(), Failure> {
        let listener = server::bind(what, address).await?;
        self.serve(what, Server::new(listener, router).with_tls(tls));
        Ok(())
    }

    fn serve(&mut self, what: &str, server: Server) {
        let (what, token) = (what.to_owned(), self.token());
        self.run(async move {
            if !server.run(token).await {
                tracing::warn!(listener = what, "requests were still open at the end");
            }
            Ok(())
        });
    }

    /// Waits for SIGTERM or SIGINT, or for a part that ends by itself; then becomes unready,
    /// stops everything after `notice` and waits for all of it (RDY-06).
    pub(crate) async fn run_until_told(mut self, notice: Duration) -> Result<(), Failure> {
        let first = tokio::select! {
            signal = shutdown_signal() => {
                tracing::info!(signal = signal?, "stopping");
                Ok(())
            }
            ended = self.tasks.join_next() => match ended {
                Some(ended) => finished(ended),
                None => Ok(()),
            }
        };
        stop(&self.boards, notice, &self.token).await;
        let mut outcome = first;
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(finished(ended));
        }
        outcome
    }
}

fn finished(ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    ended.unwrap_or_else(|panic| Err(Failure::new(panic)))
}
