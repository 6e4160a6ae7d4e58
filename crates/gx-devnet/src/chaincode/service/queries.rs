//! The results of range and history queries, which a chaincode gets in portions. `Requests` opens,
//! reads and closes them for a chaincode.

use std::collections::HashMap;

use gx_fabric_proto::protos::{QueryResponse, QueryResponseMetadata, QueryResultBytes};
use gx_fabric_proto::queryresult::Kv;
use prost::Message;

use crate::ledger::{History, ScanId, Simulation, SimulationError};

/// Number of results in a message.
const PORTION: usize = 100;
/// Limit of results of a query (`ledger.state.totalQueryLimit`).
const TOTAL_LIMIT: usize = 100_000;

/// The open queries of a transaction.
#[derive(Default)]
pub(super) struct Queries {
    opened: u64,
    open: HashMap<String, Query>,
}

struct Query {
    rows: Rows,
    /// A result that is read but not sent.
    pending: Option<QueryResultBytes>,
    /// Number of results that were read.
    count: usize,
}

/// The results of a query.
pub(super) struct Rows {
    source: Source,
    /// Limit of results in a page. `None` if the query is not paged.
    page_size: Option<usize>,
}

enum Source {
    Scan(ScanId),
    History(Box<History>),
    Private(std::vec::IntoIter<(String, Vec<u8>)>),
}

impl Rows {
    pub(super) fn range(scan: ScanId) -> Self {
        Self { source: Source::Scan(scan), page_size: None }
    }

    /// Returns the results of a page; a size of zero means the maximum.
    pub(super) fn page(scan: ScanId, size: i32) -> Self {
        let size = usize::try_from(size).ok().filter(|size| (1..TOTAL_LIMIT).contains(size));
        Self { source: Source::Scan(scan), page_size: Some(size.unwrap_or(TOTAL_LIMIT)) }
    }

    pub(super) fn history(history: History) -> Self {
        Self { source: Source::History(Box::new(history)), page_size: None }
    }

    pub(super) fn private(found: Vec<(String, Vec<u8>)>) -> Self {
        Self { source: Source::Private(found.into_iter()), page_size: None }
    }

    fn next(
        &mut self,
        namespace: &str,
        simulation: &mut Simulation,
    ) -> Result<Option<QueryResultBytes>, SimulationError> {
        let row = |(key, value)| Kv { namespace: namespace.to_owned(), key, value }.encode_to_vec();
        let bytes = match &mut self.source {
            Source::Scan(scan) => simulation.next(*scan)?.map(row),
            Source::History(history) => history.next()?.map(|change| change.encode_to_vec()),
            Source::Private(found) => found.next().map(row),
        };
        Ok(bytes.map(|result_bytes| QueryResultBytes { result_bytes }))
    }
}

impl Queries {
    /// Starts a query and returns its first portion.
    pub(super) fn open(
        &mut self,
        rows: Rows,
        namespace: &str,
        simulation: &mut Simulation,
    ) -> Result<QueryResponse, SimulationError> {
        self.opened += 1;
        let id = self.opened.to_string();
        self.portion(id, Query { rows, pending: None, count: 0 }, namespace, simulation)
    }

    /// Returns the next portion, or `None` if no such query is open; the request then fails.
    pub(super) fn next(
        &mut self,
        id: &str,
        namespace: &str,
        simulation: &mut Simulation,
    ) -> Result<Option<QueryResponse>, SimulationError> {
        let Some((id, query)) = self.open.remove_entry(id) else { return Ok(None) };
        self.portion(id, query, namespace, simulation).map(Some)
    }

    /// Forgets a query. It may have ended before.
    pub(super) fn close(&mut self, id: &str) {
        self.open.remove(id);
    }

    /// Returns the next portion. Reads one result more than it returns, as a peer does, to know
    /// whether there are more. A page is returned as a whole.
    fn portion(
        &mut self,
        id: String,
        mut query: Query,
        namespace: &str,
        simulation: &mut Simulation,
    ) -> Result<QueryResponse, SimulationError> {
        let mut results: Vec<_> = query.pending.take().into_iter().collect();
        let page_size = query.rows.page_size;
        while query.count < page_size.unwrap_or(TOTAL_LIMIT) {
            let Some(next) = query.rows.next(namespace, simulation)? else { break };
            query.count += 1;
            if page_size.is_none() && results.len() == PORTION {
                query.pending = Some(next);
                self.open.insert(id.clone(), query);
                return Ok(QueryResponse { results, has_more: true, id, metadata: Vec::new() });
            }
            results.push(next);
        }
        let metadata = match (page_size, &query.rows.source) {
            (Some(_), Source::Scan(scan)) => QueryResponseMetadata {
                fetched_records_count: i32::try_from(query.count).expect("a page has a limit"),
                bookmark: simulation.bookmark(*scan)?,
            }
            .encode_to_vec(),
            _ => Vec::new(),
        };
        Ok(QueryResponse { results, has_more: false, id, metadata })
    }
}
