//! Blocks: their numbers, hashes and signatures, and their delivery from any position.

use gx_fabric_proto::common::{Block, LastConfig, Metadata, OrdererBlockMetadata, SignatureHeader};
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::orderer::seek_position::Type as Position;
use gx_fabric_proto::orderer::{SeekNewest, SeekOldest};
use gx_fabric_proto::protos::deliver_response::Type as Answer;
use prost::Message;
use sha2::{Digest, Sha256};

use super::Ledger;
use super::client::{next, next_block, number};

/// Returns the DER of the header. Written out here, because the ledger's own helper is under test.
fn header_der(block: &Block) -> Vec<u8> {
    let header = block.header.as_ref().unwrap();
    assert!(header.number < 128, "one byte is enough in these tests");
    let mut fields = vec![0x02, 1, u8::try_from(header.number).unwrap()];
    for hash in [&header.previous_hash, &header.data_hash] {
        fields.extend([0x04, u8::try_from(hash.len()).unwrap()]);
        fields.extend(hash);
    }
    [vec![0x30, u8::try_from(fields.len()).unwrap()], fields].concat()
}

fn metadata(block: &Block, index: usize) -> &[u8] {
    &block.metadata.as_ref().unwrap().metadata[index]
}

async fn pause_and_resume(ledger: &Ledger, times: usize) {
    let admin = ledger.admin();
    let id = |n: usize| gx_model::CommandId::derive(&["test", &n.to_string()]).to_string();
    admin.invoke("AdminContract:BootstrapSystem", &[&id(0)]).await.unwrap();
    for n in 1..times {
        let (function, args) = if n % 2 == 1 {
            ("AdminContract:PauseSystem", vec!["TEST".to_owned(), id(n)])
        } else {
            ("AdminContract:ResumeSystem", vec![id(n)])
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        admin.invoke(function, &args).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_carries_the_hash_of_its_data_and_of_the_block_before() {
    let ledger = Ledger::start().await;
    pause_and_resume(&ledger, 5).await;
    let chain = ledger.admin().chain().await;
    assert_eq!(chain.len(), 6, "genesis and one block a transaction");
    let mut previous_hash = Vec::new();
    for (number, block) in (0..).zip(&chain) {
        let header = block.header.as_ref().unwrap();
        assert_eq!(header.number, number);
        assert_eq!(header.previous_hash, previous_hash);
        let data = block.data.as_ref().unwrap().data.concat();
        assert_eq!(header.data_hash, Sha256::digest(data).as_slice());
        assert_eq!(metadata(block, 2), [0], "one valid transaction");
        previous_hash = Sha256::digest(header_der(block)).to_vec();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orderer_signs_each_block_and_names_the_last_configuration() {
    let ledger = Ledger::start().await;
    pause_and_resume(&ledger, 1).await;
    let block = ledger.admin().block(1).await;
    let signatures = Metadata::decode(metadata(&block, 0)).unwrap();
    let [signature] = signatures.signatures.as_slice() else { panic!("one signature") };
    let signed =
        [signatures.value.as_slice(), &signature.signature_header, &header_der(&block)].concat();
    let creator = SignatureHeader::decode(signature.signature_header.as_slice()).unwrap().creator;
    let msp =
        crate::msp::Organizations::open_or_create(ledger.folder(), false).unwrap().msp().unwrap();
    let orderer = msp.verify_identity(&creator).unwrap();
    assert_eq!(orderer.msp_id, "OrdererMSP");
    assert!(orderer.has_signed(&signed, &signature.signature));
    let value = OrdererBlockMetadata::decode(signatures.value.as_slice()).unwrap();
    assert_eq!(value.last_config, Some(LastConfig { index: 0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commit_hash_chains_codes_and_writes_of_every_block_after_genesis() {
    let ledger = Ledger::start().await;
    pause_and_resume(&ledger, 3).await;
    let chain = ledger.admin().chain().await;
    assert!(metadata(&chain[0], 4).is_empty());
    let hashes: Vec<Vec<u8>> = chain[1..]
        .iter()
        .map(|block| Metadata::decode(metadata(block, 4)).unwrap().value)
        .collect();
    assert!(hashes.iter().all(|hash| hash.len() == 32));
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_delivered_from_any_position_and_followed() {
    let ledger = Ledger::start().await;
    pause_and_resume(&ledger, 3).await;
    let admin = ledger.admin();
    let chain = admin.chain().await;
    for from in 0..4 {
        let mut stream = admin.follow(from).await;
        for expected in from..4 {
            assert_eq!(next_block(&mut stream).await, chain[usize::try_from(expected).unwrap()]);
        }
    }
    let mut stream = admin.follow(4).await;
    admin.invoke("AdminContract:GetSystemStatus", &[]).await.unwrap();
    assert_eq!(next_block(&mut stream).await.header.unwrap().number, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn seeks_end_as_on_a_peer() {
    let ledger = Ledger::start().await;
    let mut admin = ledger.admin();
    let wait = SeekBehavior::BlockUntilReady;
    let fail = SeekBehavior::FailIfNotReady;
    let newest = || Position::Newest(SeekNewest {});
    let oldest = || Position::Oldest(SeekOldest {});

    let mut stream = admin.deliver(newest(), newest(), fail).await.unwrap();
    assert_eq!(next_block(&mut stream).await.header.unwrap().number, 0);
    assert_eq!(next(&mut stream).await, Answer::Status(200));
    let mut stream = admin.deliver(oldest(), oldest(), wait).await.unwrap();
    assert_eq!(next_block(&mut stream).await.header.unwrap().number, 0);

    for (start, stop, behavior, status) in [
        (number(1), number(1), fail, 404),
        (number(2), number(u64::MAX), wait, 404),
        (number(1), number(0), wait, 400),
    ] {
        let mut stream = admin.deliver(start, stop, behavior).await.unwrap();
        assert_eq!(next(&mut stream).await, Answer::Status(status));
        assert!(stream.message().await.unwrap().is_none(), "a refused seek ends the stream");
    }

    admin.channel = "nochannel".to_owned();
    let mut stream = admin.deliver(number(0), number(0), wait).await.unwrap();
    assert_eq!(next(&mut stream).await, Answer::Status(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_blocks_have_only_ids_codes_and_event_names() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let id = gx_model::CommandId::derive(&["filtered"]).to_string();
    let committed = admin.invoke("AdminContract:BootstrapSystem", &[&id]).await.unwrap();
    let mut stream = admin.deliver_filtered().await;
    let Answer::FilteredBlock(genesis) = next(&mut stream).await else { panic!("no block") };
    assert_eq!((genesis.number, genesis.channel_id.as_str()), (0, ledger.channel()));
    let Answer::FilteredBlock(block) = next(&mut stream).await else { panic!("no block") };
    let [transaction] = block.filtered_transactions.as_slice() else { panic!("one transaction") };
    assert_eq!(transaction.txid, committed.tx_id);
    let Some(gx_fabric_proto::protos::filtered_transaction::Data::TransactionActions(actions)) =
        &transaction.data
    else {
        panic!("an endorsed transaction has actions");
    };
    let event = actions.chaincode_actions[0].chaincode_event.as_ref().unwrap();
    assert_eq!(event.event_name, gx_model::BatchEvent::NAME);
    assert!(event.payload.is_empty());
}
