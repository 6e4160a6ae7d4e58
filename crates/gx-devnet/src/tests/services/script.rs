//! The functions of the tests' chaincode.

use gx_fabric_proto::protos::chaincode_message::Type;
use gx_fabric_proto::protos::write_record::Type as Write;
use gx_fabric_proto::protos::{
    ChaincodeId, ChaincodeInput, ChaincodeMessage, ChaincodeSpec, DelState, GetQueryResult,
    GetState, GetStateByRange, GetStateMetadata, GetStateMultiple, GetStateMultipleResult,
    PutState, PutStateMetadata, QueryMetadata, QueryResponse, QueryResponseMetadata,
    QueryStateNext, Response, StateMetadata, StateMetadataResult, WriteBatchState, WriteRecord,
};
use gx_fabric_proto::queryresult::Kv;
use prost::Message;

use super::chaincode::Stub;
use super::private_script;
use crate::SignaturePolicy;

/// The name of the metadata entry that has a key's policy.
const VALIDATION_PARAMETER: &str = "VALIDATION_PARAMETER";

/// Runs a function. The error is the message of a response with status 500.
pub(super) async fn run(
    stub: &mut Stub,
    is_init: bool,
    args: &[String],
) -> Result<Vec<u8>, String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["kind"] => Ok(if is_init { b"INIT".to_vec() } else { b"TRANSACTION".to_vec() }),
        ["get", key] => stub.ask(Type::GetState, &get(key)).await,
        ["put", key, value] => stub.ask(Type::PutState, &put(key, value)).await,
        ["delete", key] => stub.ask(Type::DelState, &delete(key)).await,
        ["put then get", key, value] => {
            stub.ask(Type::PutState, &put(key, value)).await?;
            stub.ask(Type::GetState, &get(key)).await
        }
        ["event", name, payload] => {
            stub.event = Some(((*name).to_owned(), payload.as_bytes().to_vec()));
            Ok(Vec::new())
        }
        ["transient", name] => Ok(stub.transient(name)),
        ["fill", prefix, count] => fill(stub, prefix, count.parse().unwrap()).await,
        ["get all", keys @ ..] => get_all(stub, keys).await,
        ["portions", start, end] => portions(stub, start, end).await,
        ["store count", start, end, key] => {
            let counted = portions(stub, start, end).await?;
            stub.ask(Type::PutState, &put(key, &String::from_utf8(counted).unwrap())).await
        }
        ["page", start, end, size, bookmark] => page(stub, start, end, size, bookmark).await,
        ["page then put", key] => {
            page(stub, "", "", "1", "").await?;
            stub.ask(Type::PutState, &put(key, "value")).await
        }
        ["put then page", key] => {
            stub.ask(Type::PutState, &put(key, "value")).await?;
            page(stub, "", "", "1", "").await
        }
        ["next of nothing"] => {
            stub.ask(Type::QueryStateNext, &QueryStateNext { id: "nothing".to_owned() }).await
        }
        ["select", query] => {
            let query = GetQueryResult { query: (*query).to_owned(), ..Default::default() };
            stub.ask(Type::GetQueryResult, &query).await
        }
        ["label", key, name, value] => {
            stub.ask(Type::PutStateMetadata, &label(key, name, value.as_bytes())).await
        }
        ["require", key, policy] => {
            let policy: SignaturePolicy = policy.parse().unwrap();
            let policy = policy.to_envelope().encode_to_vec();
            stub.ask(Type::PutStateMetadata, &label(key, VALIDATION_PARAMETER, &policy)).await
        }
        ["label of", key, name] => label_of(stub, key, name).await,
        ["private", args @ ..] => private_script::run(stub, args).await,
        ["history", key] => private_script::history(stub, key).await,
        ["call", chaincode, args @ ..] => call(stub, chaincode, args).await,
        misbehaviour => misbehave(stub, misbehaviour).await,
    }
}

async fn misbehave(stub: &mut Stub, args: &[&str]) -> Result<Vec<u8>, String> {
    match args {
        ["refuse", message] => return Err((*message).to_owned()),
        ["fail", message] => {
            stub.send(ChaincodeMessage {
                r#type: Type::Error.into(),
                payload: message.as_bytes().to_vec(),
                ..ChaincodeMessage::default()
            });
        }
        ["hang"] => stub.tell_hanging(),
        ["crash"] => stub.break_stream(),
        ["two at once"] => {
            let request = ChaincodeMessage {
                r#type: Type::GetState.into(),
                payload: get("key").encode_to_vec(),
                ..ChaincodeMessage::default()
            };
            stub.send(request.clone());
            stub.send(request);
        }
        ["nonsense"] => stub.send(ChaincodeMessage {
            r#type: Type::Registered.into(),
            ..ChaincodeMessage::default()
        }),
        unknown => return Err(format!("there is no function {unknown:?}")),
    }
    stub.stream_ended().await;
    Ok(Vec::new())
}

fn get(key: &str) -> GetState {
    GetState { key: key.to_owned(), collection: String::new() }
}

fn put(key: &str, value: &str) -> PutState {
    PutState { key: key.to_owned(), value: value.as_bytes().to_vec(), collection: String::new() }
}

fn delete(key: &str) -> DelState {
    DelState { key: key.to_owned(), collection: String::new() }
}

fn label(key: &str, name: &str, value: &[u8]) -> PutStateMetadata {
    let metadata = StateMetadata { metakey: name.to_owned(), value: value.to_vec() };
    PutStateMetadata { key: key.to_owned(), metadata: Some(metadata), ..Default::default() }
}

async fn label_of(stub: &mut Stub, key: &str, name: &str) -> Result<Vec<u8>, String> {
    let asked = GetStateMetadata { key: key.to_owned(), collection: String::new() };
    let found: StateMetadataResult = stub.query(Type::GetStateMetadata, &asked).await?;
    let found = found.entries.into_iter().find(|entry| entry.metakey == name);
    Ok(found.map(|entry| entry.value).unwrap_or_default())
}

/// Writes keys of four digits in one batch. The first one gets a label, and the last one is
/// deleted.
async fn fill(stub: &mut Stub, prefix: &str, count: usize) -> Result<Vec<u8>, String> {
    let mut rec: Vec<_> = (0..=count)
        .map(|n| WriteRecord {
            key: format!("{prefix}{n:04}"),
            value: n.to_string().into_bytes(),
            r#type: Write::PutState.into(),
            ..WriteRecord::default()
        })
        .collect();
    rec.push(WriteRecord {
        key: format!("{prefix}{count:04}"),
        r#type: Write::DelState.into(),
        ..WriteRecord::default()
    });
    rec.push(WriteRecord {
        key: format!("{prefix}0000"),
        metadata: Some(StateMetadata { metakey: "label".to_owned(), value: b"first".to_vec() }),
        r#type: Write::PutStateMetadata.into(),
        ..WriteRecord::default()
    });
    stub.ask(Type::WriteBatchState, &WriteBatchState { rec }).await
}

async fn get_all(stub: &mut Stub, keys: &[&str]) -> Result<Vec<u8>, String> {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    let asked = GetStateMultiple { keys, collection: String::new() };
    let found: GetStateMultipleResult = stub.query(Type::GetStateMultiple, &asked).await?;
    Ok(found.values.join(&b","[..]))
}

/// Returns the number of results in each message.
async fn portions(stub: &mut Stub, start: &str, end: &str) -> Result<Vec<u8>, String> {
    let asked = GetStateByRange {
        start_key: start.to_owned(),
        end_key: end.to_owned(),
        ..GetStateByRange::default()
    };
    let mut portion: QueryResponse = stub.query(Type::GetStateByRange, &asked).await?;
    let mut sizes = vec![portion.results.len().to_string()];
    while portion.has_more {
        let asked = QueryStateNext { id: portion.id.clone() };
        portion = stub.query(Type::QueryStateNext, &asked).await?;
        sizes.push(portion.results.len().to_string());
    }
    Ok(sizes.join("+").into_bytes())
}

/// Returns the keys of a page, their number and the bookmark.
async fn page(
    stub: &mut Stub,
    start: &str,
    end: &str,
    size: &str,
    bookmark: &str,
) -> Result<Vec<u8>, String> {
    let metadata =
        QueryMetadata { page_size: size.parse().unwrap(), bookmark: bookmark.to_owned() };
    let asked = GetStateByRange {
        start_key: start.to_owned(),
        end_key: end.to_owned(),
        metadata: metadata.encode_to_vec(),
        ..GetStateByRange::default()
    };
    let page: QueryResponse = stub.query(Type::GetStateByRange, &asked).await?;
    assert!(!page.has_more, "a page is whole");
    let keys =
        page.results.iter().map(|result| Kv::decode(result.result_bytes.as_slice()).unwrap().key);
    let keys: Vec<String> = keys.collect();
    let metadata = QueryResponseMetadata::decode(page.metadata.as_slice()).unwrap();
    let QueryResponseMetadata { fetched_records_count, bookmark } = metadata;
    Ok(format!("{} {fetched_records_count} [{bookmark}]", keys.join(",")).into_bytes())
}

/// Calls a chaincode and returns its status, message and payload.
async fn call(stub: &mut Stub, chaincode: &str, args: &[&str]) -> Result<Vec<u8>, String> {
    let args = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let asked = ChaincodeSpec {
        chaincode_id: Some(ChaincodeId { name: chaincode.to_owned(), ..Default::default() }),
        input: Some(ChaincodeInput { args, ..Default::default() }),
        ..ChaincodeSpec::default()
    };
    let message: ChaincodeMessage = stub.query(Type::InvokeChaincode, &asked).await?;
    match message.r#type() {
        Type::Completed => {
            let answer = Response::decode(message.payload.as_slice()).unwrap();
            let payload = String::from_utf8(answer.payload).unwrap();
            Ok(format!("{} {:?} {payload}", answer.status, answer.message).into_bytes())
        }
        _ => Err(String::from_utf8(message.payload).unwrap()),
    }
}
