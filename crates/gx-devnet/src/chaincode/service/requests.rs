//! What a chaincode asks for while it carries out a transaction.

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::write_record::Type as Write;
use gx_fabric_proto::protos::{
    ChaincodeMessage, ChaincodeSpec, DelState, GetHistoryForKey, GetState, GetStateByRange,
    GetStateMetadata, GetStateMultiple, GetStateMultipleResult, PurgePrivateState, PutState,
    PutStateMetadata, QueryMetadata, QueryResponse, QueryStateClose, QueryStateNext, Response,
    StateMetadata, StateMetadataResult, WriteBatchState,
};
use prost::Message;

use super::errand::Errand;
use super::queries::{Queries, Rows};
use crate::chaincode::Outcome;
use crate::ledger::{Metadata, Simulation};

/// The requests of one transaction to one chaincode.
pub(super) struct Requests<'a> {
    errand: &'a Errand<'a>,
    simulation: &'a mut Simulation,
    queries: Queries,
}

impl<'a> Requests<'a> {
    pub(super) fn new(errand: &'a Errand<'a>, simulation: &'a mut Simulation) -> Self {
        Self { errand, simulation, queries: Queries::default() }
    }

    /// The payload that answers a request. The error is a peer's.
    pub(super) fn serve(&mut self, request: &ChaincodeMessage) -> Result<Vec<u8>, String> {
        let payload = request.payload.as_slice();
        match request.r#type() {
            Type::GetState => self.get(&decode(payload)?),
            Type::GetStateMultiple => self.get_multiple(&decode(payload)?),
            Type::PutState => self.put(decode(payload)?).map(|()| Vec::new()),
            Type::DelState => self.delete(&decode(payload)?).map(|()| Vec::new()),
            Type::WriteBatchState => self.write_batch(decode(payload)?).map(|()| Vec::new()),
            Type::GetStateMetadata => self.metadata(&decode(payload)?),
            Type::PutStateMetadata => self.put_metadata(decode(payload)?).map(|()| Vec::new()),
            Type::GetStateByRange => self.range(&decode(payload)?),
            Type::GetHistoryForKey => self.history(&decode(payload)?),
            Type::GetQueryResult => Err("ExecuteQuery not supported for leveldb".to_owned()),
            Type::QueryStateNext => self.next(&decode(payload)?),
            Type::QueryStateClose => self.close(&decode(payload)?),
            Type::InvokeChaincode => self.invoke(decode(payload)?),
            Type::GetPrivateDataHash => self.private_hash(&decode(payload)?),
            Type::PurgePrivateData => self.purge(&decode(payload)?).map(|()| Vec::new()),
            other => Err(format!("{} is not a request", other.as_str_name())),
        }
    }

    /// Interim: no chaincode has collections yet.
    fn public_only(&self, collection: &str) -> Result<(), String> {
        if collection.is_empty() {
            return Ok(());
        }
        Err(format!(
            "collection {}/{}/{collection} could not be found",
            self.errand.call.proposal.channel.channel_id, self.errand.namespace
        ))
    }

    fn private_hash(&mut self, asked: &GetState) -> Result<Vec<u8>, String> {
        self.public_only(&asked.collection).map(|()| Vec::new())
    }

    fn purge(&mut self, asked: &PurgePrivateState) -> Result<(), String> {
        self.public_only(&asked.collection)
    }

    fn get(&mut self, asked: &GetState) -> Result<Vec<u8>, String> {
        self.public_only(&asked.collection)?;
        let found = self.simulation.get(self.errand.namespace, &asked.key);
        Ok(found.map_err(said)?.unwrap_or_default())
    }

    fn get_multiple(&mut self, asked: &GetStateMultiple) -> Result<Vec<u8>, String> {
        self.public_only(&asked.collection)?;
        let keys = asked.keys.iter();
        let values: Result<Vec<_>, _> =
            keys.map(|key| self.simulation.get(self.errand.namespace, key)).collect();
        let values = values.map_err(said)?.into_iter().map(Option::unwrap_or_default);
        Ok(GetStateMultipleResult { values: values.collect() }.encode_to_vec())
    }

    fn put(&mut self, asked: PutState) -> Result<(), String> {
        self.public_only(&asked.collection)?;
        self.simulation.put(self.errand.namespace, &asked.key, asked.value).map_err(said)
    }

    fn delete(&mut self, asked: &DelState) -> Result<(), String> {
        self.public_only(&asked.collection)?;
        self.simulation.delete(self.errand.namespace, &asked.key).map_err(said)
    }

    fn metadata(&mut self, asked: &GetStateMetadata) -> Result<Vec<u8>, String> {
        self.public_only(&asked.collection)?;
        let found = self.simulation.metadata(self.errand.namespace, &asked.key).map_err(said)?;
        let entries = found.into_iter().map(|(metakey, value)| StateMetadata { metakey, value });
        Ok(StateMetadataResult { entries: entries.collect() }.encode_to_vec())
    }

    fn put_metadata(&mut self, asked: PutStateMetadata) -> Result<(), String> {
        self.public_only(&asked.collection)?;
        let entry = asked.metadata.unwrap_or_default();
        let metadata = Metadata::from([(entry.metakey, entry.value)]);
        self.simulation.put_metadata(self.errand.namespace, &asked.key, metadata).map_err(said)
    }

    fn write_batch(&mut self, batch: WriteBatchState) -> Result<(), String> {
        for write in batch.rec {
            let kind = write.r#type();
            let (key, collection) = (write.key, write.collection);
            match kind {
                Write::PutState => self.put(PutState { key, collection, value: write.value })?,
                Write::DelState => self.delete(&DelState { key, collection })?,
                Write::PutStateMetadata => {
                    let metadata = write.metadata;
                    self.put_metadata(PutStateMetadata { key, collection, metadata })?;
                }
                Write::PurgePrivateData => self.purge(&PurgePrivateState { key, collection })?,
                Write::Undefined => return Err("unknown operation type".to_owned()),
            }
        }
        Ok(())
    }

    fn range(&mut self, asked: &GetStateByRange) -> Result<Vec<u8>, String> {
        self.public_only(&asked.collection)?;
        let page: QueryMetadata = decode(&asked.metadata)?;
        let namespace = self.errand.namespace;
        let rows = if page.page_size == 0 && page.bookmark.is_empty() {
            let scan = self.simulation.open_range(namespace, &asked.start_key, &asked.end_key);
            Rows::range(scan.map_err(said)?)
        } else {
            let start = if page.bookmark.is_empty() { &asked.start_key } else { &page.bookmark };
            let scan = self.simulation.open_page(namespace, start, &asked.end_key);
            Rows::page(scan.map_err(said)?, page.page_size)
        };
        let response = self.queries.open(rows, namespace, self.simulation).map_err(said)?;
        Ok(response.encode_to_vec())
    }

    fn history(&mut self, asked: &GetHistoryForKey) -> Result<Vec<u8>, String> {
        let namespace = self.errand.namespace;
        let history = self.simulation.history(namespace, &asked.key).map_err(said)?;
        let response = self.queries.open(Rows::history(history), namespace, self.simulation);
        Ok(response.map_err(said)?.encode_to_vec())
    }

    fn next(&mut self, asked: &QueryStateNext) -> Result<Vec<u8>, String> {
        let namespace = self.errand.namespace;
        let response = self.queries.next(&asked.id, namespace, self.simulation).map_err(said)?;
        Ok(response.ok_or("query iterator not found")?.encode_to_vec())
    }

    fn close(&mut self, asked: &QueryStateClose) -> Result<Vec<u8>, String> {
        self.queries.close(&asked.id);
        Ok(QueryResponse { id: asked.id.clone(), ..Default::default() }.encode_to_vec())
    }

    fn invoke(&mut self, asked: ChaincodeSpec) -> Result<Vec<u8>, String> {
        let Errand { call, chaincodes, .. } = self.errand;
        let named = asked.chaincode_id.unwrap_or_default().name;
        let (name, channel) = callee(&named);
        let own_channel = &call.proposal.channel.channel_id;
        if !channel.is_empty() && channel != own_channel {
            return Err(format!("Failed to get policy manager for channel [{channel}]"));
        }
        let input = asked.input.unwrap_or_default();
        let outcome = chaincodes
            .invoke(self.simulation, call, name, &input)
            .map_err(|error| format!("execute failed: {error}"))?;
        let (kind, payload) = match outcome {
            Outcome::Completed(answer) => {
                let response = Response {
                    status: answer.status,
                    message: answer.message,
                    payload: answer.payload,
                };
                (Type::Completed, response.encode_to_vec())
            }
            Outcome::Failed(text) => (Type::Error, text),
        };
        let message = ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid: call.proposal.channel.tx_id.clone(),
            channel_id: own_channel.clone(),
            ..Default::default()
        };
        Ok(message.encode_to_vec())
    }
}

/// The name and the channel in `name:version/channel`, where the last two may be missing.
fn callee(named: &str) -> (&str, &str) {
    let (name, channel) = named.split_once('/').unwrap_or((named, ""));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    (name, channel)
}

fn decode<M: Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(|error| format!("unmarshal failed: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over to be mapped")]
fn said(error: impl ToString) -> String {
    error.to_string()
}
