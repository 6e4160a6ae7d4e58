//! The ledger's state, which one transaction reads and writes by requests to the peer. The
//! contracts call [`PeerState`] while they run; a [`StateError`] ends the transaction with an
//! error.

use gx_contract::{State, StateError};
use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{
    ChaincodeAdditionalParams, ChaincodeMessage, DelState, GetState, GetStateByRange,
    GetStateMultiple, GetStateMultipleResult, PutState, QueryMetadata, QueryResponse,
    QueryResponseMetadata, QueryStateNext, WriteBatchState, WriteRecord, write_record,
};
use gx_fabric_proto::queryresult::Kv;
use prost::Message;
use tokio::sync::mpsc;
use tonic::Status;

/// Limit of entries in a page of a range; peers limit a page to 100 000 by default.
const RANGE_PAGE_ENTRIES: i32 = 1_000;

/// The features of the peer beyond the requests of 2.x, each with its limit. Older peers end the
/// stream if they get a request that they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerFeatures {
    /// `None` if the peer takes one write at a time.
    pub(crate) writes_at_once: Option<usize>,
    /// `None` if the peer reads one key at a time.
    pub(crate) keys_at_once: Option<usize>,
}

/// The key that identifies the transaction of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TransactionKey {
    pub(crate) channel_id: String,
    pub(crate) tx_id: String,
}

/// The peer's side of one transaction. Used on a thread that may block.
pub(crate) struct PeerState {
    pub(crate) key: TransactionKey,
    pub(crate) features: PeerFeatures,
    pub(crate) requests: mpsc::Sender<Result<ChaincodeMessage, Status>>,
    pub(crate) answers: mpsc::Receiver<ChaincodeMessage>,
    /// Number of requests that the peer has answered.
    pub(crate) round_trips: u32,
}

impl From<ChaincodeAdditionalParams> for PeerFeatures {
    fn from(params: ChaincodeAdditionalParams) -> Self {
        let at_most = |is_offered: bool, max: u32| {
            usize::try_from(max).ok().filter(|max| is_offered && *max > 0)
        };
        Self {
            writes_at_once: at_most(params.use_write_batch, params.max_size_write_batch),
            keys_at_once: at_most(params.use_get_multiple_keys, params.max_size_get_multiple_keys),
        }
    }
}

impl TransactionKey {
    pub(crate) fn of(message: &ChaincodeMessage) -> Self {
        Self { channel_id: message.channel_id.clone(), tx_id: message.txid.clone() }
    }

    /// Returns a message of this transaction.
    pub(crate) fn message(&self, kind: Type, payload: Vec<u8>) -> ChaincodeMessage {
        ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid: self.tx_id.clone(),
            channel_id: self.channel_id.clone(),
            ..ChaincodeMessage::default()
        }
    }
}

impl State for PeerState {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        let request = GetState { key: key.to_owned(), collection: String::new() };
        Ok(present(self.ask(Type::GetState, &request)?))
    }

    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        let Some(at_once) = self.features.keys_at_once else {
            return keys.iter().map(|key| self.get(key)).collect();
        };
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(at_once) {
            let request = GetStateMultiple { keys: keys.to_vec(), collection: String::new() };
            let answer: GetStateMultipleResult =
                decode(&self.ask(Type::GetStateMultiple, &request)?)?;
            if answer.values.len() != keys.len() {
                return Err(StateError(format!(
                    "the peer answered {} values to {} keys",
                    answer.values.len(),
                    keys.len()
                )));
            }
            values.extend(answer.values.into_iter().map(present));
        }
        Ok(values)
    }

    fn range(&mut self, start: &str, end: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let mut entries = vec![];
        let mut bookmark = String::new();
        loop {
            bookmark = self.page(start, end, bookmark, &mut entries)?;
            if bookmark.is_empty() {
                return Ok(entries);
            }
        }
    }
}

impl PeerState {
    /// Returns the message that ends a transaction which panicked.
    pub(crate) fn failure(key: &TransactionKey) -> ChaincodeMessage {
        key.message(Type::Error, b"the chaincode failed inside this transaction".to_vec())
    }

    /// Sends the transaction's writes to the peer, in as few requests as the peer allows.
    pub(crate) fn write(
        &mut self,
        writes: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<(), StateError> {
        let Some(at_once) = self.features.writes_at_once else {
            return writes.into_iter().try_for_each(|(key, value)| self.write_one(key, value));
        };
        let records: Vec<WriteRecord> = writes.into_iter().map(record).collect();
        for records in records.chunks(at_once) {
            self.ask(Type::WriteBatchState, &WriteBatchState { rec: records.to_vec() })?;
        }
        Ok(())
    }

    fn write_one(&mut self, key: String, value: Option<Vec<u8>>) -> Result<(), StateError> {
        let collection = String::new();
        match value {
            Some(value) => self.ask(Type::PutState, &PutState { key, value, collection })?,
            None => self.ask(Type::DelState, &DelState { key, collection })?,
        };
        Ok(())
    }

    /// Appends one page of a range and returns the bookmark of the next page; an empty bookmark
    /// means that there is none.
    fn page(
        &mut self,
        start: &str,
        end: &str,
        bookmark: String,
        entries: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<String, StateError> {
        let page = QueryMetadata { page_size: RANGE_PAGE_ENTRIES, bookmark };
        let request = GetStateByRange {
            start_key: start.to_owned(),
            end_key: end.to_owned(),
            collection: String::new(),
            metadata: page.encode_to_vec(),
        };
        let mut answer: QueryResponse = decode(&self.ask(Type::GetStateByRange, &request)?)?;
        loop {
            for result in &answer.results {
                let entry: Kv = decode(&result.result_bytes)?;
                entries.push((entry.key, entry.value));
            }
            if !answer.has_more {
                let metadata: QueryResponseMetadata = decode(&answer.metadata)?;
                return Ok(metadata.bookmark);
            }
            answer = decode(&self.ask(Type::QueryStateNext, &QueryStateNext { id: answer.id })?)?;
        }
    }

    /// Sends a request and waits for the answer. The error is the peer's message, or that the
    /// stream has ended.
    fn ask(&mut self, kind: Type, request: &impl Message) -> Result<Vec<u8>, StateError> {
        let message = self.key.message(kind, request.encode_to_vec());
        self.requests.blocking_send(Ok(message)).map_err(|_| stream_ended())?;
        let answer = self.answers.blocking_recv().ok_or_else(stream_ended)?;
        self.round_trips += 1;
        match answer.r#type() {
            Type::Response => Ok(answer.payload),
            _ => Err(StateError(String::from_utf8_lossy(&answer.payload).into_owned())),
        }
    }
}

/// Returns `None` for an empty value, which the peer sends for a key that does not exist. The
/// contracts write no empty values.
fn present(value: Vec<u8>) -> Option<Vec<u8>> {
    if value.is_empty() { None } else { Some(value) }
}

/// Returns a write as part of a batch.
fn record((key, value): (String, Option<Vec<u8>>)) -> WriteRecord {
    let kind = match value {
        Some(_) => write_record::Type::PutState,
        None => write_record::Type::DelState,
    };
    WriteRecord {
        key,
        value: value.unwrap_or_default(),
        r#type: kind.into(),
        ..WriteRecord::default()
    }
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, StateError> {
    M::decode(bytes).map_err(|why| StateError(format!("the peer's answer is malformed: {why}")))
}

fn stream_ended() -> StateError {
    StateError("the stream to the peer has ended".to_owned())
}
