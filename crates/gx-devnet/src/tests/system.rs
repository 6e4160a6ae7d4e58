//! Queries of the system chaincodes, with a real peer's answers.

use gx_fabric_proto::common::{Block, BlockchainInfo, Config};
use gx_fabric_proto::protos::{ChannelQueryResponse, ProcessedTransaction};
use gx_fabric_proto::{block_header_hash, protos};
use gx_model::CommandId;
use prost::Message;
use tonic::Code;

use super::Ledger;
use super::client::{Client, said};

const CHANNEL: &str = "gxchannel";

fn asking(ledger: &Ledger, chaincode: &str) -> Client {
    let mut client = ledger.client(gx_model::SignerRole::PartnerApi);
    client.chaincode = chaincode.to_owned();
    client
}

async fn bootstrap(ledger: &Ledger) -> String {
    let id = CommandId::derive(&["system"]).to_string();
    ledger.admin().invoke("AdminContract:BootstrapSystem", &[&id]).await.unwrap().tx_id
}

#[tokio::test(flavor = "multi_thread")]
async fn qscc_returns_height_blocks_and_transactions() {
    let ledger = Ledger::start().await;
    let tx_id = bootstrap(&ledger).await;
    let chain = ledger.admin().chain().await;
    let qscc = asking(&ledger, "qscc");

    let info = qscc.evaluate("GetChainInfo", &[CHANNEL]).await.unwrap();
    let info = BlockchainInfo::decode(info.as_slice()).unwrap();
    let newest = chain[1].header.as_ref().unwrap();
    assert_eq!(info.height, 2);
    assert_eq!(info.current_block_hash, block_header_hash(newest));
    assert_eq!(info.previous_block_hash, newest.previous_hash);

    let largest = u64::MAX.to_string();
    for (function, argument) in [
        ("GetBlockByNumber", b"1".to_vec()),
        ("GetBlockByNumber", largest.into_bytes()),
        ("GetBlockByHash", info.current_block_hash),
        ("GetBlockByTxID", tx_id.clone().into_bytes()),
    ] {
        let args = [CHANNEL.as_bytes().to_vec(), argument];
        let block = qscc.evaluate_bytes(function, &args).await.unwrap();
        assert_eq!(Block::decode(block.as_slice()).unwrap(), chain[1], "{function}");
    }

    let found = qscc.evaluate("GetTransactionByID", &[CHANNEL, &tx_id]).await.unwrap();
    let found = ProcessedTransaction::decode(found.as_slice()).unwrap();
    assert_eq!(found.validation_code, i32::from(protos::TxValidationCode::Valid));
    let entry = chain[1].data.as_ref().unwrap().data[0].clone();
    assert_eq!(found.transaction_envelope.unwrap().encode_to_vec(), entry);
}

#[tokio::test(flavor = "multi_thread")]
async fn cscc_returns_the_channel_and_its_configuration() {
    let ledger = Ledger::start().await;
    let cscc = asking(&ledger, "cscc");
    let channels = cscc.evaluate("GetChannels", &[]).await.unwrap();
    let channels = ChannelQueryResponse::decode(channels.as_slice()).unwrap().channels;
    assert_eq!(channels.iter().map(|it| it.channel_id.as_str()).collect::<Vec<_>>(), [CHANNEL]);
    let block = cscc.evaluate("GetConfigBlock", &[CHANNEL]).await.unwrap();
    assert_eq!(Block::decode(block.as_slice()).unwrap(), cscc.chain().await[0]);
    let config = cscc.evaluate("GetChannelConfig", &[CHANNEL]).await.unwrap();
    let groups = Config::decode(config.as_slice()).unwrap().channel_group.unwrap().groups;
    assert!(groups.contains_key("Application"));
    assert!(groups.contains_key("Orderer"));
}

/// Chaincode, function and arguments, and a real peer's message.
const REFUSALS: &[(&str, &str, &[&str], &str)] = &[
    ("qscc", "GetChainInfo", &[], "Incorrect number of arguments, 1"),
    ("qscc", "GetChainInfo", &["nochannel"], "Invalid chain ID, nochannel"),
    ("qscc", "Nope", &[CHANNEL], "missing 3rd argument for Nope"),
    (
        "qscc",
        "Nope",
        &[CHANNEL, "x"],
        "access denied for [Nope][gxchannel]: [Unmapped policy for qscc/Nope]",
    ),
    (
        "qscc",
        "GetBlockByNumber",
        &[CHANNEL, "9"],
        "Failed to get block number 9, error no such block number [9] in index",
    ),
    (
        "qscc",
        "GetBlockByNumber",
        &[CHANNEL, "-1"],
        "Failed to parse block number with error strconv.ParseUint: parsing \"-1\": invalid \
         syntax",
    ),
    (
        "qscc",
        "GetBlockByNumber",
        &[CHANNEL, "99999999999999999999999"],
        "Failed to parse block number with error strconv.ParseUint: parsing \
         \"99999999999999999999999\": value out of range",
    ),
    (
        "qscc",
        "GetBlockByHash",
        &[CHANNEL, "x"],
        "Failed to get block hash x, error no such block hash [78] in index",
    ),
    (
        "qscc",
        "GetBlockByTxID",
        &[CHANNEL, "nosuch"],
        "Failed to get block for txID nosuch, error no such transaction ID [nosuch] in index",
    ),
    (
        "qscc",
        "GetTransactionByID",
        &[CHANNEL, ""],
        "Failed to get transaction with id , error no such transaction ID [] in index",
    ),
    ("cscc", "GetConfigBlock", &[], "Incorrect number of arguments, 1"),
    ("cscc", "GetChannelConfig", &[""], "empty channel name provided"),
    (
        "cscc",
        "GetChannelConfig",
        &["nochannel"],
        "access denied for [GetChannelConfig][nochannel]: Failed to get policy manager for \
         channel [nochannel]",
    ),
    ("cscc", "Nope", &["x"], "Requested function Nope not found."),
    (
        "cscc",
        "JoinBySnapshotStatus",
        &[],
        "access denied for [JoinBySnapshotStatus]: Failed verifying that proposal's creator \
         satisfies local MSP principal during channelless check policy with policy [Admins]: \
         [The identity is not an admin under this MSP [Org1MSP]: The identity does not \
         contain OU [ADMIN], MSP: [Org1MSP]]",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn system_chaincodes_refuse_with_a_peers_messages() {
    let ledger = Ledger::start().await;
    for (chaincode, function, args, words) in REFUSALS {
        let client = asking(&ledger, chaincode);
        let refused = client.evaluate(function, args).await.unwrap_err();
        let detail = format!("chaincode response 500, {words}");
        let message = format!("evaluate call to endorser returned error: {detail}");
        assert_eq!(said(&refused), (Code::Unknown, message, Some(detail)), "{function}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn system_chaincodes_are_not_endorsed() {
    let ledger = Ledger::start().await;
    let refused = asking(&ledger, "qscc").endorse("GetChainInfo", &[CHANNEL]).await;
    let Err(refused) = refused else { panic!("it was endorsed") };
    let words = "no combination of peers can be derived which satisfy the endorsement policy: No \
                 metadata was found for chaincode qscc in channel gxchannel";
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, words));
}
