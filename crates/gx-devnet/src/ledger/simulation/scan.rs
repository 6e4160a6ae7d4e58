//! A range query of a simulation, which is read key by key and recorded. `Simulation` opens one for
//! each range or page.

use gx_fabric_proto::kvrwset::{KvRead, QueryReads, RangeQueryInfo, range_query_info::ReadsInfo};

use crate::ledger::state::{Rows, StoreError, to_read};

/// A range of keys in one namespace.
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

    /// Returns the next key and value and records them, or `None` at the end of the range.
    pub(super) fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let Some((key, found)) = self.rows.next().transpose()? else {
            self.exhausted = true;
            return Ok(None);
        };
        self.reads.push(to_read(key.clone(), Some(found.version)));
        Ok(Some((key, found.value)))
    }

    /// Returns the key after the last one that was read, without recording it. The scan must not be
    /// read any further.
    pub(super) fn bookmark(&mut self) -> Result<String, StoreError> {
        let next = self.rows.next().transpose()?;
        Ok(next.map(|(key, _)| key).unwrap_or_default())
    }

    /// Returns the namespace and the record for the check at commit: up to the end of the range if
    /// it was reached, and otherwise up to and including the last key that was read.
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
