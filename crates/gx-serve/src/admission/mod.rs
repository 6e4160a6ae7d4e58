//! Admission of connections, requests, bodies and uploads, so that no client can use up shared
//! resources.
//!
//! [`crate::server`] asks when a connection is accepted and when a request has arrived, the
//! extractors while a body arrives. All are counted in total and per client address. A connection
//! that does no work for its client gives its slot to a new one; a connection that works is never
//! cut for another. A connection above its client's limit is closed; a request, body or upload
//! above a limit is answered with 503.

mod activity;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

pub(crate) use activity::{Activity, ConnectionAction, ConnectionTimeLimits, OpenRequest};
pub(crate) use settings::ClientKey;
pub use settings::{AdmissionSettings, Network};

/// Counters of connections, requests and body bytes. Clones share them.
#[derive(Clone)]
pub struct Admission(Arc<AdmissionState>);

struct AdmissionState {
    /// Name of the listener, for metrics.
    listener: &'static str,
    settings: AdmissionSettings,
    table: Mutex<Table>,
    freed: Notify,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    connections: BTreeMap<u64, ConnectionEntry>,
    requests: usize,
    body_bytes: usize,
    uploads: usize,
    clients: HashMap<ClientKey, Usage>,
}

struct ConnectionEntry {
    client: Option<ClientKey>,
    activity: Arc<Activity>,
}

/// The resources that one client uses. Clients that use none are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    pub(crate) body_bytes: usize,
    pub(crate) uploads: usize,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReachedLimit {
    /// The limit of one client.
    Client,
    /// The limit of all clients together.
    Total,
}

impl ReachedLimit {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Total => "total",
        }
    }
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(AdmissionSettings::default())
    }
}

impl Admission {
    /// Creates the admission of listeners that clients reach.
    pub fn new(settings: AdmissionSettings) -> Self {
        Self::of("public", settings)
    }

    /// Creates the admission of listeners for probes and scrapers, with separate counters.
    pub fn internal() -> Self {
        Self::of("internal", AdmissionSettings::internal())
    }

    fn of(listener: &'static str, settings: AdmissionSettings) -> Self {
        let (table, freed) = (Mutex::default(), Notify::new());
        Self(Arc::new(AdmissionState { listener, settings, table, freed }))
    }

    pub(crate) fn settings(&self) -> &AdmissionSettings {
        &self.0.settings
    }

    /// Returns the resources that all clients together use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> Usage {
        let table = self.table();
        let connections = table.connections.len();
        let Table { requests, body_bytes, uploads, .. } = *table;
        Usage { connections, requests, body_bytes, uploads }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().expect("no holder of this lock can panic")
    }

    /// Returns the client that is counted for an address, or `None` for a trusted proxy.
    pub(crate) fn client(&self, address: IpAddr) -> Option<ClientKey> {
        (!self.0.settings.trusts(address)).then(|| ClientKey::of(address))
    }

    /// Returns a slot for a connection from `peer`. If all slots are taken by connections that
    /// work, waits for one. Returns `None` if the client itself has too many of these.
    pub(crate) async fn slot(&self, peer: IpAddr) -> Option<ConnectionSlot> {
        let client = self.client(peer);
        /// How often to look for an idle connection, in addition to whenever one ends.
        const LOOK_INTERVAL: Duration = Duration::from_secs(1);
        loop {
            match self.try_slot(client) {
                Ok(slot) => return Some(slot),
                Err(ReachedLimit::Client) => {
                    self.refused("connection", ReachedLimit::Client);
                    return None;
                }
                Err(ReachedLimit::Total) => {
                    let _freed_or_not = timeout(LOOK_INTERVAL, self.0.freed.notified()).await;
                }
            }
        }
    }

    /// Returns a slot for a connection, if necessary that of an unused connection, or the limit
    /// that is reached.
    fn try_slot(&self, client: Option<ClientKey>) -> Result<ConnectionSlot, ReachedLimit> {
        let settings = &self.0.settings;
        let mut table = self.table();
        if let Some(client) = client
            && table.of(client).connections >= settings.client_connections as usize
        {
            table.evict(|entry| entry.client == Some(client)).ok_or(ReachedLimit::Client)?;
        }
        if table.connections.len() >= settings.connections as usize {
            table.evict(|_| true).ok_or(ReachedLimit::Total)?;
        }
        table.last_id += 1;
        let (id, activity) = (table.last_id, Activity::new());
        table.connections.insert(id, ConnectionEntry { client, activity: Arc::clone(&activity) });
        table.change(client, |held| held.connections += 1);
        self.set_gauge(&table);
        Ok(ConnectionSlot { admission: self.clone(), id, activity })
    }

    /// Closes the connection that was idle longest, because the process lacks a resource that
    /// connections hold, such as file descriptors.
    pub(crate) fn close_idle(&self) {
        self.table().evict(|_| true);
    }

    /// Returns a slot for one request of the client, which arrived over the connection `own`. If
    /// none is free, closes another connection whose requests all wait for their client. If there
    /// is no such connection, returns the limit; the request is then answered with 503.
    pub(crate) fn request(
        &self,
        client: Option<ClientKey>,
        own: &Arc<Activity>,
    ) -> Result<RequestSlot, ReachedLimit> {
        let settings = &self.0.settings;
        let mut table = self.table();
        let waits = |entry: &ConnectionEntry| {
            !Arc::ptr_eq(&entry.activity, own)
                && entry.activity.unused_since().is_some_and(|(has_open, _)| has_open)
        };
        let is_full = |client| table.of(client).requests >= settings.client_connections as usize;
        let full = if client.is_some_and(is_full) {
            table.evict(|entry| entry.client == client && waits(entry)).ok_or(ReachedLimit::Client)
        } else if table.requests >= settings.connections as usize {
            table.evict(waits).ok_or(ReachedLimit::Total)
        } else {
            Ok(())
        };
        if let Err(full) = full {
            drop(table);
            self.refused("request", full);
            return Err(full);
        }
        table.requests += 1;
        table.change(client, |held| held.requests += 1);
        Ok(RequestSlot { admission: self.clone(), client })
    }

    /// Counts more bytes of a body, or returns the limit that they exceed.
    fn grow(&self, client: Option<ClientKey>, bytes: usize) -> Result<(), ReachedLimit> {
        const KIB: usize = 1_024;
        let settings = &self.0.settings;
        let mut table = self.table();
        let limit = |kib: u32| (kib as usize).saturating_mul(KIB);
        let full = if client.is_some_and(|client| {
            table.of(client).body_bytes + bytes > limit(settings.client_bodies_kib)
        }) {
            Some(ReachedLimit::Client)
        } else {
            (table.body_bytes + bytes > limit(settings.bodies_kib)).then_some(ReachedLimit::Total)
        };
        if let Some(full) = full {
            drop(table);
            self.refused("body", full);
            return Err(full);
        }
        table.body_bytes += bytes;
        table.change(client, |held| held.body_bytes += bytes);
        Ok(())
    }

    /// Takes the slot of an upload, or returns the limit that is reached.
    fn take_upload(&self, client: Option<ClientKey>) -> Result<(), ReachedLimit> {
        let settings = &self.0.settings;
        let mut table = self.table();
        let is_full = |client| table.of(client).uploads >= settings.client_uploads as usize;
        let full = if client.is_some_and(is_full) {
            Some(ReachedLimit::Client)
        } else {
            (table.uploads >= settings.uploads as usize).then_some(ReachedLimit::Total)
        };
        if let Some(full) = full {
            drop(table);
            self.refused("upload", full);
            return Err(full);
        }
        table.uploads += 1;
        table.change(client, |held| held.uploads += 1);
        Ok(())
    }

    fn refused(&self, what: &'static str, why: ReachedLimit) {
        let listener = self.0.listener;
        let why = why.name();
        metrics::counter!("gx_refused_total", "listener" => listener, "what" => what, "limit" => why)
            .increment(1);
    }

    fn set_gauge(&self, table: &Table) {
        let count = u32::try_from(table.connections.len()).unwrap_or(u32::MAX);
        metrics::gauge!("gx_connections", "listener" => self.0.listener).set(f64::from(count));
    }
}

impl Table {
    fn of(&self, client: ClientKey) -> Usage {
        self.clients.get(&client).copied().unwrap_or_default()
    }

    fn change(&mut self, client: Option<ClientKey>, change: impl FnOnce(&mut Usage)) {
        let Some(client) = client else { return };
        let held = self.clients.entry(client).or_default();
        change(held);
        if *held == Usage::default() {
            self.clients.remove(&client);
        }
    }

    /// Frees the slot of the connection that was idle longest. Returns `None` if all of them work.
    fn evict(&mut self, may: impl Fn(&ConnectionEntry) -> bool) -> Option<()> {
        let unused = self.connections.iter().filter(|(_, entry)| may(entry));
        let unused = unused.filter_map(|(id, entry)| Some((entry.activity.unused_since()?, *id)));
        let (_, id) = unused.min()?;
        let entry = self.remove(id)?;
        entry.activity.evict();
        metrics::counter!("gx_connections_evicted_total").increment(1);
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<ConnectionEntry> {
        let entry = self.connections.remove(&id)?;
        self.change(entry.client, |held| held.connections -= 1);
        Some(entry)
    }
}

/// The slot of one connection, free again when it is dropped or evicted.
pub(crate) struct ConnectionSlot {
    admission: Admission,
    id: u64,
    activity: Arc<Activity>,
}

impl ConnectionSlot {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.admission.table();
        table.remove(self.id);
        self.admission.set_gauge(&table);
        drop(table);
        self.admission.0.freed.notify_one();
    }
}

/// The slot of one request, free again when it is dropped.
pub(crate) struct RequestSlot {
    admission: Admission,
    client: Option<ClientKey>,
}

impl Drop for RequestSlot {
    fn drop(&mut self) {
        let mut table = self.admission.table();
        table.requests -= 1;
        table.change(self.client, |held| held.requests -= 1);
        drop(table);
        // The connection of the request may be idle now, and can be closed for a new one.
        self.admission.0.freed.notify_one();
    }
}

/// Counter for the memory of a request's body; an extension of each request from a listener.
#[derive(Clone)]
pub(crate) struct BodyMemoryCounter {
    pub(crate) admission: Admission,
    pub(crate) client: Option<ClientKey>,
    pub(crate) request: Arc<OpenRequest>,
}

impl BodyMemoryCounter {
    /// Begins to count a body, of which nothing has arrived yet.
    pub(crate) fn open(&self) -> BodyMemory {
        self.request.receiving(true);
        BodyMemory { of: self.clone(), bytes: 0, is_receiving: true }
    }

    /// Takes the slot of a file that arrives and is never in memory as a whole, or returns the
    /// limit that is reached.
    pub(crate) fn open_upload(&self) -> Result<UploadSlot, ReachedLimit> {
        self.admission.take_upload(self.client)?;
        Ok(UploadSlot { of: self.clone() })
    }
}

/// The slot of one upload, free again when it is dropped.
pub(crate) struct UploadSlot {
    of: BodyMemoryCounter,
}

impl UploadSlot {
    /// Records whether the upload waits for its client.
    pub(crate) fn set_waiting(&self, is_waiting: bool) {
        self.of.request.receiving(is_waiting);
    }
}

impl Drop for UploadSlot {
    fn drop(&mut self) {
        self.of.request.receiving(false);
        let mut table = self.of.admission.table();
        table.uploads -= 1;
        table.change(self.of.client, |held| held.uploads -= 1);
    }
}

/// The memory of one body, free again when it is dropped.
pub(crate) struct BodyMemory {
    of: BodyMemoryCounter,
    bytes: usize,
    is_receiving: bool,
}

impl BodyMemory {
    /// Adds `bytes`, or returns the limit that they exceed.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), ReachedLimit> {
        self.of.admission.grow(self.of.client, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Records that the body is complete.
    pub(crate) fn complete(&mut self) {
        if std::mem::take(&mut self.is_receiving) {
            self.of.request.receiving(false);
        }
    }
}

impl Drop for BodyMemory {
    fn drop(&mut self) {
        self.complete();
        let mut table = self.of.admission.table();
        table.body_bytes -= self.bytes;
        let bytes = self.bytes;
        table.change(self.of.client, |held| held.body_bytes -= bytes);
    }
}
