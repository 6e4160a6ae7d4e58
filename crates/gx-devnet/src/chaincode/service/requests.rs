//! Serves the requests of a chaincode during a transaction. `Execution::run` passes each one to
//! [`Requests::serve`].

use std::borrow::Cow;

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::write_record::Type as Write;
use gx_fabric_proto::protos::{
    ChaincodeMessage, ChaincodeSpec, DelState, GetHistoryForKey, GetState, GetStateByRange,
    GetStateMetadata, GetStateMultiple, GetStateMultipleResult, PurgePrivateState, PutState,
    PutStateMetadata, QueryMetadata, QueryResponse, QueryStateClose, QueryStateNext, Response,
    StateMetadata, StateMetadataResult, WriteBatchState,
};
use prost::Message;

use super::queries::{Queries, Rows};
use super::{CallKind, Execution};
use crate::chaincode::CallOutcome;
use crate::collections::Collection;
use crate::ledger::{CollectionName, Metadata, Simulation};

/// The requests of one transaction to one chaincode.
pub(super) struct Requests<'a> {
    execution: &'a Execution<'a>,
    simulation: &'a mut Simulation,
    queries: Queries,
}

impl<'a> Requests<'a> {
    pub(super) fn new(execution: &'a Execution<'a>, simulation: &'a mut Simulation) -> Self {
        Self { execution, simulation, queries: Queries::default() }
    }

    /// Serves a request and returns the payload of the answer. The error is a peer's message, which
    /// is sent to the chaincode; the transaction continues.
    pub(super) fn serve(&mut self, request: &ChaincodeMessage) -> Result<Vec<u8>, String> {
        let payload = request.payload.as_slice();
        match request.r#type() {
            Type::GetState => self.get(&decode(payload)?),
            Type::GetStateMultiple => self.get_multiple(decode(payload)?),
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

    fn get(&mut self, asked: &GetState) -> Result<Vec<u8>, String> {
        let namespace = self.execution.namespace;
        let found = if asked.collection.is_empty() {
            self.simulation.get(namespace, &asked.key)
        } else {
            let is_held = self.readable(&asked.collection)?;
            let collection = CollectionName { namespace, name: &asked.collection };
            self.simulation.private_get(collection, &asked.key, is_held)
        };
        Ok(found.map_err(peer_error)?.unwrap_or_default())
    }

    fn get_multiple(&mut self, asked: GetStateMultiple) -> Result<Vec<u8>, String> {
        let values: Result<Vec<_>, _> = asked
            .keys
            .into_iter()
            .map(|key| self.get(&GetState { key, collection: asked.collection.clone() }))
            .collect();
        Ok(GetStateMultipleResult { values: values? }.encode_to_vec())
    }

    fn private_hash(&mut self, asked: &GetState) -> Result<Vec<u8>, String> {
        let namespace = self.execution.namespace;
        self.defined(&asked.collection)?;
        let collection = CollectionName { namespace, name: &asked.collection };
        let found = self.simulation.private_hash(collection, &asked.key);
        Ok(found.map_err(peer_error)?.unwrap_or_default())
    }

    fn put(&mut self, asked: PutState) -> Result<(), String> {
        let namespace = self.execution.namespace;
        if asked.collection.is_empty() {
            return self.simulation.put(namespace, &asked.key, asked.value).map_err(peer_error);
        }
        self.check_writable(&asked.collection)?;
        let collection = CollectionName { namespace, name: &asked.collection };
        let put = self.simulation.private_put(collection, &asked.key, asked.value);
        put.map_err(peer_error)
    }

    fn delete(&mut self, asked: &DelState) -> Result<(), String> {
        let namespace = self.execution.namespace;
        if asked.collection.is_empty() {
            return self.simulation.delete(namespace, &asked.key).map_err(peer_error);
        }
        self.check_writable(&asked.collection)?;
        let collection = CollectionName { namespace, name: &asked.collection };
        self.simulation.private_delete(collection, &asked.key).map_err(peer_error)
    }

    fn purge(&mut self, asked: &PurgePrivateState) -> Result<(), String> {
        if asked.collection.is_empty() {
            return Err("only applicable for private data".to_owned());
        }
        self.check_writable(&asked.collection)?;
        let namespace = self.execution.namespace;
        let collection = CollectionName { namespace, name: &asked.collection };
        self.simulation.private_purge(collection, &asked.key).map_err(peer_error)
    }

    fn metadata(&mut self, asked: &GetStateMetadata) -> Result<Vec<u8>, String> {
        let namespace = self.execution.namespace;
        let found = if asked.collection.is_empty() {
            self.simulation.metadata(namespace, &asked.key)
        } else {
            self.readable(&asked.collection)?;
            let collection = CollectionName { namespace, name: &asked.collection };
            self.simulation.private_metadata(collection, &asked.key)
        };
        let entries = found.map_err(peer_error)?.into_iter();
        let entries = entries.map(|(metakey, value)| StateMetadata { metakey, value });
        Ok(StateMetadataResult { entries: entries.collect() }.encode_to_vec())
    }

    fn put_metadata(&mut self, asked: PutStateMetadata) -> Result<(), String> {
        let namespace = self.execution.namespace;
        let entry = asked.metadata.unwrap_or_default();
        let metadata = Metadata::from([(entry.metakey, entry.value)]);
        let put = if asked.collection.is_empty() {
            self.simulation.put_metadata(namespace, &asked.key, metadata)
        } else {
            self.check_writable(&asked.collection)?;
            let collection = CollectionName { namespace, name: &asked.collection };
            self.simulation.private_put_metadata(collection, &asked.key, metadata)
        };
        put.map_err(peer_error)
    }

    /// Returns whether the peer holds this collection. Refuses a creator who may not read it.
    fn readable(&self, name: &str) -> Result<bool, String> {
        let collection = self.collection(name)?;
        if !collection.admits_reader(self.execution.call.creator) {
            return Err(self.denied("read", name));
        }
        Ok(collection.is_held_by(self.execution.call.msp_id))
    }

    /// Refuses a creator who may not write to the collection.
    fn check_writable(&self, name: &str) -> Result<(), String> {
        if self.collection(name)?.admits_writer(self.execution.call.creator) {
            Ok(())
        } else {
            Err(self.denied("write", name))
        }
    }

    /// Returns a collection whose access rights apply to the creator. The error is that there is no
    /// such collection, or that the call initialises the chaincode.
    fn collection(&self, name: &str) -> Result<Cow<'_, Collection>, String> {
        self.check_no_init()?;
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        if name.starts_with("_implicit_org_") {
            return Err(self.undefined(name));
        }
        let (channel, namespace) =
            (&self.execution.call.proposal.channel.channel_id, self.execution.namespace);
        Err(format!("collection {channel}/{namespace}/{name} could not be found"))
    }

    /// Checks that the collection is defined; no access rights apply.
    fn defined(&self, name: &str) -> Result<(), String> {
        self.check_no_init()?;
        self.find(name).map(|_| ()).ok_or_else(|| self.undefined(name))
    }

    fn find(&self, name: &str) -> Option<Cow<'_, Collection>> {
        self.execution.chaincodes.get(self.execution.namespace)?.collections.get(name)
    }

    /// Refuses private data in a call that initialises the chaincode.
    fn check_no_init(&self) -> Result<(), String> {
        match self.execution.kind {
            CallKind::Transaction => Ok(()),
            CallKind::Init => Err("private data APIs are not allowed in chaincode Init()".into()),
        }
    }

    fn undefined(&self, name: &str) -> String {
        let namespace = self.execution.namespace;
        format!(
            "collection [{name}] not defined in the collection config for chaincode [{namespace}]"
        )
    }

    fn denied(&self, right: &str, name: &str) -> String {
        let namespace = self.execution.namespace;
        format!(
            "tx creator does not have {right} access permission on privatedata in \
             chaincodeName:{namespace} collectionName: {name}"
        )
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
        if !asked.collection.is_empty() {
            return self.private_range(asked);
        }
        let page: QueryMetadata = decode(&asked.metadata)?;
        let namespace = self.execution.namespace;
        let rows = if page.page_size == 0 && page.bookmark.is_empty() {
            let scan = self.simulation.open_range(namespace, &asked.start_key, &asked.end_key);
            Rows::range(scan.map_err(peer_error)?)
        } else {
            let start = if page.bookmark.is_empty() { &asked.start_key } else { &page.bookmark };
            let scan = self.simulation.open_page(namespace, start, &asked.end_key);
            Rows::page(scan.map_err(peer_error)?, page.page_size)
        };
        let first = self.queries.open(rows, namespace, self.simulation).map_err(peer_error)?;
        Ok(first.encode_to_vec())
    }

    fn private_range(&mut self, asked: &GetStateByRange) -> Result<Vec<u8>, String> {
        let namespace = self.execution.namespace;
        let is_held = self.readable(&asked.collection)?;
        let collection = CollectionName { namespace, name: &asked.collection };
        let found = self
            .simulation
            .private_range(collection, &asked.start_key, &asked.end_key, is_held)
            .map_err(peer_error)?;
        let response = self.queries.open(Rows::private(found), namespace, self.simulation);
        Ok(response.map_err(peer_error)?.encode_to_vec())
    }

    fn history(&mut self, asked: &GetHistoryForKey) -> Result<Vec<u8>, String> {
        let namespace = self.execution.namespace;
        let history = self.simulation.history(namespace, &asked.key).map_err(peer_error)?;
        let response = self.queries.open(Rows::history(history), namespace, self.simulation);
        Ok(response.map_err(peer_error)?.encode_to_vec())
    }

    fn next(&mut self, asked: &QueryStateNext) -> Result<Vec<u8>, String> {
        let namespace = self.execution.namespace;
        let found = self.queries.next(&asked.id, namespace, self.simulation).map_err(peer_error)?;
        Ok(found.ok_or("query iterator not found")?.encode_to_vec())
    }

    fn close(&mut self, asked: &QueryStateClose) -> Result<Vec<u8>, String> {
        self.queries.close(&asked.id);
        Ok(QueryResponse { id: asked.id.clone(), ..Default::default() }.encode_to_vec())
    }

    /// Calls another chaincode in the same simulation. Its failure is part of the answer.
    fn invoke(&mut self, asked: ChaincodeSpec) -> Result<Vec<u8>, String> {
        let Execution { call, chaincodes, .. } = self.execution;
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
            CallOutcome::Completed(answer) => {
                let response = Response {
                    status: answer.status,
                    message: answer.message,
                    payload: answer.payload,
                };
                (Type::Completed, response.encode_to_vec())
            }
            CallOutcome::Failed(text) => (Type::Error, text),
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

/// Returns the name and the channel in `name:version/channel`, where the last two may be missing.
fn callee(named: &str) -> (&str, &str) {
    let (name, channel) = named.split_once('/').unwrap_or((named, ""));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    (name, channel)
}

fn decode<M: Message + Default>(payload: &[u8]) -> Result<M, String> {
    M::decode(payload).map_err(|error| format!("unmarshal failed: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over to be mapped")]
fn peer_error(error: impl ToString) -> String {
    error.to_string()
}
