//! The functions of the tests' chaincode for private data and the history of keys.

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::{
    DelState, GetHistoryForKey, GetState, GetStateByRange, PurgePrivateState, PutState,
    QueryResponse,
};
use gx_fabric_proto::queryresult::{KeyModification, Kv};
use prost::Message;

use super::chaincode::Stub;

pub(super) async fn run(stub: &mut Stub, args: &[&str]) -> Result<Vec<u8>, String> {
    match args {
        ["get", collection, key] => stub.ask(Type::GetState, &get(collection, key)).await,
        ["hash", collection, key] => {
            let hash = stub.ask(Type::GetPrivateDataHash, &get(collection, key)).await?;
            Ok(hex::encode(hash).into_bytes())
        }
        ["put", collection, key, value] => put(stub, collection, key, value.as_bytes()).await,
        ["put transient", collection, key, name] => {
            let value = stub.transient(name);
            put(stub, collection, key, &value).await
        }
        ["put what was got", collection, key, value] => {
            stub.ask(Type::GetState, &get(collection, key)).await?;
            put(stub, collection, key, value.as_bytes()).await
        }
        ["delete", collection, key] => {
            let (key, collection) = ((*key).to_owned(), (*collection).to_owned());
            stub.ask(Type::DelState, &DelState { key, collection }).await
        }
        ["purge", collection, key] => {
            let (key, collection) = ((*key).to_owned(), (*collection).to_owned());
            stub.ask(Type::PurgePrivateData, &PurgePrivateState { key, collection }).await
        }
        ["range", collection] => range(stub, collection).await,
        ["range then put", collection, key] => {
            range(stub, collection).await?;
            put(stub, collection, key, b"value").await
        }
        ["put then range", collection, key] => {
            put(stub, collection, key, b"value").await?;
            range(stub, collection).await
        }
        unknown => Err(format!("there is no private function {unknown:?}")),
    }
}

/// Returns the values of a key, newest first; a deletion is listed as such.
pub(super) async fn history(stub: &mut Stub, key: &str) -> Result<Vec<u8>, String> {
    let asked = GetHistoryForKey { key: key.to_owned() };
    let found: QueryResponse = stub.query(Type::GetHistoryForKey, &asked).await?;
    let changes = found.results.iter().map(|result| {
        let change = KeyModification::decode(result.result_bytes.as_slice()).unwrap();
        assert!(!change.tx_id.is_empty());
        assert!(change.timestamp.is_some());
        if change.is_delete {
            "deleted".to_owned()
        } else {
            String::from_utf8(change.value).unwrap()
        }
    });
    Ok(changes.collect::<Vec<_>>().join(",").into_bytes())
}

fn get(collection: &str, key: &str) -> GetState {
    GetState { key: key.to_owned(), collection: collection.to_owned() }
}

async fn put(
    stub: &mut Stub,
    collection: &str,
    key: &str,
    value: &[u8],
) -> Result<Vec<u8>, String> {
    let (key, collection) = (key.to_owned(), collection.to_owned());
    stub.ask(Type::PutState, &PutState { key, collection, value: value.to_vec() }).await
}

async fn range(stub: &mut Stub, collection: &str) -> Result<Vec<u8>, String> {
    let collection = collection.to_owned();
    let asked = GetStateByRange { collection, ..GetStateByRange::default() };
    let found: QueryResponse = stub.query(Type::GetStateByRange, &asked).await?;
    let rows = found.results.iter().map(|result| {
        let row = Kv::decode(result.result_bytes.as_slice()).unwrap();
        format!("{}={}", row.key, String::from_utf8(row.value).unwrap())
    });
    Ok(rows.collect::<Vec<_>>().join(",").into_bytes())
}
