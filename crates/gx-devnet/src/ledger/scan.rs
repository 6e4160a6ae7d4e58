//! One range query of a simulation, read key by key, and the record of what it saw.

use gx_fabric_proto::kvrwset::{KvRead, QueryReads, RangeQueryInfo, range_query_info::ReadsInfo};

use super::simulation::to_read;
use super::store::{Rows, StoreError};

/// A range of one namespace.
pub(super) struct Scan {
    namespace: String,
    start: String,
    end: String,
    rows: Rows,
    reads: Vec<KvRead>,
    exhausted: bool,
}

impl Scan {
    pub(super) fn new(namespace: &str, start: &str, end: &str, rows: Rows) -> Self {
        Self {
            namespace: namespace.to_owned(),
            start: start.to_owned(),
            end: end.to_owned(),
            rows,
            reads: Vec::new(),
            exhausted: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let Some((key, found)) = self.rows.next().transpose()? else {
            self.exhausted = true;
            return Ok(None);
        };
        self.reads.push(to_read(key.clone(), Some(found.version)));
        Ok(Some((key, found.value)))
    }

    /// The key after the last one that was read; it does not count as read, and the scan
    /// must not be read any further.
    pub(super) fn bookmark(&mut self) -> Result<String, StoreError> {
        let next = self.rows.next().transpose()?;
        Ok(next.map(|(key, _)| key).unwrap_or_default())
    }

    /// The namespace, and what is checked at commit: up to the range's end where it was seen,
    /// else up to and with the last key read.
    pub(super) fn finish(self) -> (String, RangeQueryInfo) {
        let end_key = if self.exhausted {
            self.end
        } else {
            self.reads.last().map(|read| read.key.clone()).unwrap_or_default()
        };
        let info = RangeQueryInfo {
            start_key: self.start,
            end_key,
            itr_exhausted: self.exhausted,
            reads_info: Some(ReadsInfo::RawReads(QueryReads { kv_reads: self.reads })),
        };
        (self.namespace, info)
    }
}
