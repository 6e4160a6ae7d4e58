//! Controls a running ledger: cuts blocks, injects faults, moves the clock, takes snapshots and
//! dumps.
//!
//! This is for tests and developers. `Devnet` calls it directly, others through its HTTP endpoint.
//! The endpoint has its own address on the loopback interface, so that the right to use the ledger
//! does not include the right to control it.

mod fault;
mod http;
mod local_only;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gx_ledger_api::Clock;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::dump::write_dump;
use crate::faults::Faults;
use crate::ledger::{Orderer, OrdererGone, Store};
use crate::{DevnetError, DumpError, DumpSummary, LedgerSnapshot, SnapshotError};

/// The parts of the ledger that the endpoint controls. Only the running ledger owns them, so the
/// endpoint does not keep it from stopping.
pub(crate) struct Controls {
    pub(crate) channel: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) store: Arc<Store>,
    pub(crate) orderer: Orderer,
    pub(crate) height: watch::Receiver<u64>,
}

impl Controls {
    /// See [`crate::Devnet::cut_block`].
    pub(crate) async fn cut_block(&self) -> Result<u64, OrdererGone> {
        self.orderer.cut().await
    }

    /// See [`crate::Devnet::take_snapshot`].
    pub(crate) async fn take_snapshot(&self) -> Result<LedgerSnapshot, SnapshotError> {
        self.orderer.take_snapshot().await
    }

    /// See [`crate::Devnet::revert`].
    pub(crate) async fn revert(&self, id: u64) -> Result<LedgerSnapshot, SnapshotError> {
        self.orderer.revert(id).await
    }

    pub(crate) async fn delete_snapshot(&self, id: u64) -> Result<(), SnapshotError> {
        self.orderer.delete_snapshot(id).await
    }

    fn advance_clock(&self, by: Duration) -> OffsetDateTime {
        self.clock.advance(by);
        self.clock.now()
    }

    /// Returns the function that writes a dump (see [`crate::Devnet::dump`]). It blocks its thread.
    pub(crate) fn dumper<W: Write>(
        &self,
        out: W,
    ) -> impl FnOnce() -> Result<DumpSummary, DumpError> + use<W> {
        let (store, data_dir) = (Arc::clone(&self.store), self.data_dir.clone());
        move || write_dump(&store, &data_dir, out)
    }
}

/// Listens on the address. Refuses an address that other machines can reach.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, DevnetError> {
    if !address.ip().is_loopback() {
        return Err(DevnetError::ControlNotLocal { address });
    }
    TcpListener::bind(address).await.map_err(|reason| DevnetError::Listen { address, reason })
}

/// Serves the control endpoint until the ledger stops. A server that fails is logged.
pub(crate) fn serve(listener: TcpListener, controls: Weak<Controls>, stopping: CancellationToken) {
    tokio::spawn(async move {
        let serving = axum::serve(listener, http::router(controls))
            .with_graceful_shutdown(stopping.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(%error, "the control endpoint has stopped serving; restart the ledger");
        }
    });
}
