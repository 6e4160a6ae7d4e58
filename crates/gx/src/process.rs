//! Runs the listeners and loops of one process, and stops them together. Used by all services, both
//! workers and the development stack. If one part fails, all are stopped and the process ends with
//! its error.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use gx_serve::shutdown::{shutdown_signal, stop};
use gx_serve::{Admission, AdmissionSettings, CancellationToken, HealthBoard, Server, server};
use tokio::task::JoinSet;

use crate::CliError;

/// Listeners and loops that stop together.
#[derive(Default)]
pub(crate) struct Process {
    /// Cancelled when the drain begins: connections are closed after their current request.
    notice: CancellationToken,
    token: CancellationToken,
    /// Limits of clients over all listeners.
    admission: Admission,
    boards: Vec<HealthBoard>,
    tasks: JoinSet<Result<(), CliError>>,
}

impl Process {
    /// Creates a process with these limits of clients, reduced to what the limit of open files
    /// allows.
    pub(crate) fn new(admission: AdmissionSettings) -> Self {
        let asked = admission.connections;
        let admission = admission.within(raise_open_files(), RESERVED_OPEN_FILES);
        if admission.connections < asked {
            tracing::warn!(
                asked,
                left = admission.connections,
                "the limit of open files allows {} connections instead of {asked}; raise it \
                 (ulimit -n)",
                admission.connections
            );
        }
        Self { admission: Admission::new(admission), ..Self::default() }
    }

    /// Returns the token that is cancelled when the process must stop.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Adds a health board, which becomes not ready before anything stops.
    pub(crate) fn watch(&mut self, board: &HealthBoard) {
        self.boards.push(board.clone());
    }

    /// Starts a loop, which must end when the token is cancelled.
    pub(crate) fn run(
        &mut self,
        work: impl Future<Output = Result<(), CliError>> + Send + 'static,
    ) {
        self.tasks.spawn(work);
    }

    /// Binds the port and serves clients.
    pub(crate) async fn listen(
        &mut self,
        what: &str,
        address: SocketAddr,
        router: Router,
    ) -> Result<(), CliError> {
        let listener = server::bind(what, address).await?;
        let server = Server::new(listener, router).with_admission(self.admission.clone());
        self.serve(what, server);
        Ok(())
    }

    /// Binds the port and serves probes and scrapers, which have limits of their own.
    pub(crate) async fn listen_internally(
        &mut self,
        what: &str,
        address: SocketAddr,
        router: Router,
    ) -> Result<(), CliError> {
        let listener = server::bind(what, address).await?;
        self.serve(what, Server::new(listener, router).with_admission(Admission::internal()));
        Ok(())
    }

    /// Binds the port and serves clients over TLS.
    #[cfg(feature = "dev")]
    pub(crate) async fn listen_tls(
        &mut self,
        what: &str,
        address: SocketAddr,
        router: Router,
        tls: std::sync::Arc<rustls::ServerConfig>,
    ) -> Result<(), CliError> {
        let listener = server::bind(what, address).await?;
        let server = Server::new(listener, router).with_admission(self.admission.clone());
        self.serve(what, server.with_tls(tls));
        Ok(())
    }

    /// Starts a server, which stops with the others.
    fn serve(&mut self, what: &str, server: Server) {
        let (what, token) = (what.to_owned(), self.token());
        let server = server.with_notice(self.notice.clone());
        self.run(async move {
            if !server.run(token).await {
                tracing::warn!(
                    listener = what,
                    "requests to {what} were cut off at the end of the drain"
                );
            }
            Ok(())
        });
    }

    /// Waits for SIGTERM, SIGINT or the end of a part. Then becomes not ready, stops all parts
    /// after `notice`, and waits for their end (RDY-06).
    pub(crate) async fn run_until_signal(mut self, notice: Duration) -> Result<(), CliError> {
        let first = tokio::select! {
            signal = signal() => {
                let signal = signal?;
                tracing::info!(signal, "stopping because of {signal}");
                Ok(())
            }
            ended = self.tasks.join_next() => match ended {
                Some(ended) => part_result(ended),
                None => Ok(()),
            }
        };
        self.notice.cancel();
        stop(&self.boards, notice, &self.token).await;
        let mut outcome = first;
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(part_result(ended));
        }
        outcome
    }
}

/// Open files that are not for clients' connections: those of the database, the ledger, the
/// internal listeners and logs.
const RESERVED_OPEN_FILES: u64 = 768;

/// Raises the limit of open files to what the system allows, and returns it.
fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limits.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
            limits.current
        }
    };
    current.unwrap_or(u64::MAX)
}

/// Waits for SIGTERM or SIGINT and returns its name.
pub(crate) async fn signal() -> Result<&'static str, CliError> {
    shutdown_signal().await.map_err(|why| {
        CliError::caused_by("signals cannot be received; allow this user more open files", &why)
    })
}

/// Returns the result of a part that has ended; a panic is an error.
fn part_result(
    ended: Result<Result<(), CliError>, tokio::task::JoinError>,
) -> Result<(), CliError> {
    ended.unwrap_or_else(|panic| {
        Err(CliError::caused_by("a part of the process panicked; report this panic", &panic))
    })
}
