//! Requests of a chaincode about the state.

use gx_fabric_proto::common::Block;
use gx_fabric_proto::protos::TxValidationCode;

use super::chaincode::Service;
use super::{caller, evaluated, ledger_with, request_refused};

#[tokio::test(flavor = "multi_thread")]
async fn a_chaincode_puts_gets_and_deletes() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    assert_eq!(evaluated(&client, "get", &["key"]).await, "");
    let put = client.invoke("put", &["key", "value"]).await.unwrap();
    assert_eq!(put.code, TxValidationCode::Valid);
    assert_eq!(evaluated(&client, "get", &["key"]).await, "value");
    assert_eq!(evaluated(&client, "put then get", &["key", "new"]).await, "value");
    client.invoke("delete", &["key"]).await.unwrap();
    assert_eq!(evaluated(&client, "get", &["key"]).await, "");
    client.invoke("put", &["key", "again"]).await.unwrap();
    client.invoke("put", &["key", ""]).await.unwrap();
    assert_eq!(evaluated(&client, "get", &["key"]).await, "", "an empty value deletes");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_transactions_that_read_and_write_one_key_conflict() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let late = client.endorse("put then get", &["key", "late"]).await.unwrap();
    client.invoke("put", &["key", "early"]).await.unwrap();
    client.submit(&late).await.unwrap();
    let status = client.commit_status(&late.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::MvccReadConflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_writes_and_reads_of_many_keys_are_offered_and_served() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("fill", &["k", "3"]).await.unwrap();
    let offered = service.offered();
    assert!(offered.use_write_batch);
    assert!(offered.use_get_multiple_keys);
    assert_eq!((offered.max_size_write_batch, offered.max_size_get_multiple_keys), (1000, 1000));
    let keys = ["k0002", "nowhere", "k0003", "k0001"];
    assert_eq!(evaluated(&client, "get all", &keys).await, "2,,,1");
    assert_eq!(evaluated(&client, "label of", &["k0000", "label"]).await, "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_sent_in_portions_of_100() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("fill", &["k", "250"]).await.unwrap();
    assert_eq!(evaluated(&client, "portions", &["k", "l"]).await, "100+100+50");
    assert_eq!(evaluated(&client, "portions", &["k0000", "k0100"]).await, "100");
    assert_eq!(evaluated(&client, "portions", &["k0000", "k0101"]).await, "100+1");
    assert_eq!(evaluated(&client, "portions", &["l", "m"]).await, "0");
    assert_eq!(evaluated(&client, "portions", &["", ""]).await, "100+100+50");
    let lost = request_refused(&client, "next of nothing", &[]).await;
    let reason = "QUERY_STATE_NEXT failed: transaction ID: <txid>: query iterator not found";
    assert_eq!(lost, format!("chaincode response 500, {reason}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_has_changed_is_a_phantom() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("fill", &["k", "120"]).await.unwrap();
    let same = client.invoke("store count", &["k", "l", "count"]).await.unwrap();
    assert_eq!(same.code, TxValidationCode::Valid);
    assert_eq!(evaluated(&client, "get", &["count"]).await, "100+20");
    let late = client.endorse("store count", &["k", "l", "count"]).await.unwrap();
    client.invoke("put", &["k9", "one more"]).await.unwrap();
    client.submit(&late).await.unwrap();
    let status = client.commit_status(&late.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::PhantomReadConflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_page_begins_at_the_bookmark() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("fill", &["k", "5"]).await.unwrap();
    let page = async |size, bookmark| evaluated(&client, "page", &["k", "l", size, bookmark]).await;
    assert_eq!(page("2", "").await, "k0000,k0001 2 [k0002]");
    assert_eq!(page("2", "k0002").await, "k0002,k0003 2 [k0004]");
    assert_eq!(page("2", "k0004").await, "k0004 1 []");
    assert_eq!(page("5", "").await, "k0000,k0001,k0002,k0003,k0004 5 []");
    assert_eq!(page("0", "k0003").await, "k0003,k0004 2 []");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_page_is_a_phantom_and_later_keys_may_change() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("fill", &["k", "5"]).await.unwrap();
    for (changed, expected) in
        [("k0003", TxValidationCode::Valid), ("k0001", TxValidationCode::PhantomReadConflict)]
    {
        let page = client.endorse("page", &["k", "l", "2", ""]).await.unwrap();
        client.invoke("put", &[changed, "changed"]).await.unwrap();
        client.submit(&page).await.unwrap();
        let status = client.commit_status(&page.tx_id).await.unwrap();
        assert_eq!(status.result(), expected, "{changed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_writes_cannot_read_pages() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let unsupported = "failed: transaction ID: <txid>: txid [<txid>]: unsuppored transaction.";
    assert_eq!(
        request_refused(&client, "page then put", &["key"]).await,
        format!(
            "chaincode response 500, PUT_STATE {unsupported} Transaction has already performed a \
             paginated query. Writes are not allowed"
        )
    );
    assert_eq!(
        request_refused(&client, "put then page", &["key"]).await,
        format!(
            "chaincode response 500, GET_STATE_BY_RANGE {unsupported} Paginated queries are \
             supported only in a read-only transaction"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_by_content_are_refused_as_by_leveldb() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let refused = request_refused(&caller(&ledger), "select", &["{}"]).await;
    let reason =
        "GET_QUERY_RESULT failed: transaction ID: <txid>: ExecuteQuery not supported for leveldb";
    assert_eq!(refused, format!("chaincode response 500, {reason}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_kept_and_deleted_with_its_key() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    let label = async || evaluated(&client, "label of", &["key", "colour"]).await;
    client.invoke("label", &["key", "colour", "red"]).await.unwrap();
    assert_eq!(label().await, "", "there is no such key");
    client.invoke("put", &["key", "one"]).await.unwrap();
    client.invoke("label", &["key", "colour", "red"]).await.unwrap();
    client.invoke("put", &["key", "two"]).await.unwrap();
    assert_eq!(label().await, "red");
    assert_eq!(evaluated(&client, "get", &["key"]).await, "two");
    client.invoke("delete", &["key"]).await.unwrap();
    client.invoke("put", &["key", "three"]).await.unwrap();
    assert_eq!(label().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_label_is_a_new_version_of_its_key() {
    let service = Service::start().await;
    let ledger = ledger_with(&service).await;
    let client = caller(&ledger);
    client.invoke("put", &["key", "one"]).await.unwrap();
    let late = client.endorse("put then get", &["key", "late"]).await.unwrap();
    client.invoke("label", &["key", "colour", "red"]).await.unwrap();
    client.submit(&late).await.unwrap();
    let status = client.commit_status(&late.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::MvccReadConflict);
    let chain: Vec<Block> = client.chain().await;
    assert_eq!(chain.len(), 4);
}
