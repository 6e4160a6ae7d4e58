//! Commits: each transaction takes effect once, in order, and is validated at its place in the
//! block.

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::orderer::seek_info::SeekBehavior;
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{Command, CommandId, Qirat};
use tonic::Code;

use super::Ledger;
use super::client::{Client, Signed, direct_call, next_block, number, said};
use super::contracts::{ALI, SARAH, balance, bootstrap, create_person, grant};

async fn pause(client: &Client, name: &str) -> Signed {
    let id = CommandId::derive(&[name]).to_string();
    client.endorse("AdminContract:PauseSystem", &["TEST", &id]).await.unwrap()
}

async fn propose(client: &Client, command: &Command) -> Signed {
    let (function, args) = direct_call(command);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    client.endorse(&function, &args).await.unwrap()
}

async fn paused(client: &Client) -> bool {
    let status = client.evaluate("AdminContract:GetSystemStatus", &[]).await.unwrap();
    let status: gx_contract::SystemView = serde_json::from_slice(&status).unwrap();
    status.paused
}

/// FAB-07: of two transactions that read the same state, the second is invalid and changes nothing.
/// Proposed again it is valid. The validation code tells the result.
#[tokio::test(flavor = "multi_thread")]
async fn fab_07_a_read_conflict_is_reported_and_a_new_proposal_commits() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let [sarah, ali] = [SARAH, ALI].map(|id| id.parse().unwrap());
    create_person(&admin, &sarah).await;
    create_person(&admin, &ali).await;
    let first = propose(&admin, &grant(&sarah)).await;
    let second = propose(&admin, &grant(&ali)).await;
    admin.submit(&first).await.unwrap();
    admin.submit(&second).await.unwrap();
    let first = admin.commit_status(&first.tx_id).await.unwrap();
    let second = admin.commit_status(&second.tx_id).await.unwrap();
    assert_eq!(first.result(), TxValidationCode::Valid);
    assert_eq!(second.result(), TxValidationCode::MvccReadConflict);
    assert_eq!(balance(&admin, &ali).await, Some(Qirat::ZERO));
    let again = admin.carry_out(&grant(&ali)).await.unwrap();
    assert_eq!(again.code, TxValidationCode::Valid);
    assert_eq!(balance(&admin, &ali).await, "500000000".parse().ok());
}

/// FAB-07: an endorsement that does not satisfy the policy gets its validation code.
#[tokio::test(flavor = "multi_thread")]
async fn fab_07_a_policy_failure_is_reported_with_its_code() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let mut transaction = pause(&admin, "forged").await;
    transaction.envelope = forge_endorsement(&admin, &transaction.envelope);
    admin.submit(&transaction).await.unwrap();
    let status = admin.commit_status(&transaction.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::EndorsementPolicyFailure);
    assert!(!paused(&admin).await);
}

/// Replaces the endorsement by one of the client, which is not a peer.
fn forge_endorsement(client: &Client, envelope: &Envelope) -> Envelope {
    use gx_fabric_proto::common::Payload;
    use gx_fabric_proto::protos::{ChaincodeActionPayload, Endorsement, Transaction};
    use prost::Message;
    let mut payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    let mut transaction = Transaction::decode(payload.data.as_slice()).unwrap();
    let action = &mut transaction.actions[0];
    let mut endorsed = ChaincodeActionPayload::decode(action.payload.as_slice()).unwrap();
    let inner = endorsed.action.as_mut().unwrap();
    let signed = [inner.proposal_response_payload.as_slice(), &client.creator()].concat();
    inner.endorsements =
        vec![Endorsement { endorser: client.creator(), signature: client.sign(&signed) }];
    action.payload = endorsed.encode_to_vec();
    payload.data = transaction.encode_to_vec();
    let payload = payload.encode_to_vec();
    Envelope { signature: client.sign(&payload), payload }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_can_be_fetched_as_soon_as_a_commit_in_it_is_known() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    for _ in 0..30 {
        let committed = admin.invoke("AdminContract:GetSystemStatus", &[]).await.unwrap();
        let at = || number(committed.block);
        let mut stream = admin.deliver(at(), at(), SeekBehavior::FailIfNotReady).await.unwrap();
        assert_eq!(next_block(&mut stream).await.header.unwrap().number, committed.block);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_conflicting_transactions_in_one_block_do_not_both_take_effect() {
    let ledger = Ledger::cutting(crate::BlockCutting::Manual).await;
    let admin = ledger.admin();
    let bootstrap = CommandId::derive(&["bootstrap"]).to_string();
    let function = "AdminContract:BootstrapSystem";
    let first = admin.endorse(function, &[&bootstrap]).await.unwrap();
    let second = admin.endorse(function, &[&bootstrap]).await.unwrap();
    admin.submit(&first).await.unwrap();
    admin.submit(&second).await.unwrap();
    ledger.devnet.faults().cut_block();
    let first = admin.commit_status(&first.tx_id).await.unwrap();
    let second = admin.commit_status(&second.tx_id).await.unwrap();
    assert_eq!((first.block_number, second.block_number), (1, 1));
    assert_eq!(first.result(), TxValidationCode::Valid);
    assert_eq!(second.result(), TxValidationCode::MvccReadConflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_in_a_range_that_was_read_is_a_phantom_conflict() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let counted = admin.endorse("TokenomicsContract:GetSupplyStatus", &[]).await.unwrap();
    let sarah = SARAH.parse().unwrap();
    create_person(&admin, &sarah).await;
    admin.carry_out(&grant(&sarah)).await.unwrap();
    admin.submit(&counted).await.unwrap();
    let status = admin.commit_status(&counted.tx_id).await.unwrap();
    assert_eq!(status.result(), TxValidationCode::PhantomReadConflict);
    let counted = admin.invoke("TokenomicsContract:GetSupplyStatus", &[]).await.unwrap();
    assert_eq!(counted.code, TxValidationCode::Valid);
}

/// G2: an envelope that is sent twice is on the chain twice and takes effect once.
#[tokio::test(flavor = "multi_thread")]
async fn g2_the_same_envelope_twice_has_one_effect() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let height = u64::try_from(admin.chain().await.len()).unwrap();
    let transaction = pause(&admin, "twice").await;
    admin.submit(&transaction).await.unwrap();
    admin.submit(&transaction).await.unwrap();
    let mut stream = admin.follow(height).await;
    let codes = [codes(&next_block(&mut stream).await), codes(&next_block(&mut stream).await)];
    assert_eq!(codes, [vec![0], vec![9]], "VALID, then DUPLICATE_TXID");
    let status = admin.commit_status(&transaction.tx_id).await.unwrap();
    assert_eq!((status.result(), status.block_number), (TxValidationCode::Valid, height));
    assert!(paused(&admin).await);
}

/// G2: a command that took effect is answered from its record if it is proposed in another
/// transaction, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn g2_the_same_command_in_another_transaction_changes_nothing() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let command = Command::BootstrapSystem {};
    let first = admin.carry_out(&command).await.unwrap();
    let supply = admin.evaluate("TokenomicsContract:GetPoolStatus", &[]).await.unwrap();
    let again = admin.carry_out(&command).await.unwrap();
    assert_ne!(first.tx_id, again.tx_id);
    assert_eq!(again.code, TxValidationCode::Valid);
    assert_eq!(admin.evaluate("TokenomicsContract:GetPoolStatus", &[]).await.unwrap(), supply);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_proposal_is_not_endorsed_again_after_its_commit() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    let id = CommandId::derive(&["once"]).to_string();
    let draft = admin.draft("AdminContract:BootstrapSystem", &[&id]);
    let proposal = draft.signed(|bytes| admin.sign(bytes));
    let tx_id = draft.tx_id.clone();
    let transaction = admin.endorse_proposal(tx_id.clone(), proposal.clone()).await.unwrap();
    admin.submit(&transaction).await.unwrap();
    admin.commit_status(&transaction.tx_id).await.unwrap();
    let refused = admin.endorse_proposal(tx_id.clone(), proposal).await.err().unwrap();
    let (code, message, detail) = said(&refused);
    assert_eq!(code, Code::Aborted);
    assert_eq!(message, "failed to endorse transaction, see attached details for more info");
    assert!(detail.unwrap().starts_with(&format!("duplicate transaction found [{tx_id}]")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_contract_leaves_no_transaction() {
    let ledger = Ledger::start().await;
    let admin = ledger.admin();
    bootstrap(&admin).await;
    let height = admin.chain().await.len();
    let id = CommandId::derive(&["second bootstrap"]).to_string();
    let refused = admin.endorse("AdminContract:BootstrapSystem", &[&id]).await.err().unwrap();
    let (code, _, detail) = said(&refused);
    assert_eq!(code, Code::Aborted);
    assert!(detail.unwrap().starts_with("chaincode response 400, "));
    let refused = admin.evaluate("AdminContract:BootstrapSystem", &[&id]).await.err().unwrap();
    let (code, message, detail) = said(&refused);
    assert_eq!(code, Code::Unknown);
    assert!(
        message.starts_with("evaluate call to endorser returned error: chaincode response 400")
    );
    assert!(detail.unwrap().starts_with("chaincode response 400, "));
    assert_eq!(admin.chain().await.len(), height);
}

fn codes(block: &gx_fabric_proto::common::Block) -> Vec<u8> {
    block.metadata.as_ref().unwrap().metadata[2].clone()
}
