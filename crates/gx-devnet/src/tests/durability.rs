//! Committed transactions survive the process, however it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use gx_fabric_proto::common::Envelope;
use gx_fabric_proto::protos::TxValidationCode;
use gx_model::{Clock, CommandId, SignerRole};
use prost::Message;

use super::bounded;
use super::client::{Client, Signed};
use crate::ledger::LEDGER_FILE;
use crate::ledger::transactions;
use crate::status::validation_code;
use crate::{Devnet, DevnetError, DevnetOptions};

/// The variable that gives the folder to the child process. Without it the child's test does
/// nothing.
const FOLDER: &str = "GX_DEVNET_TEST_FOLDER";
/// Printed by the child before it submits an envelope.
const SENT: &str = "sent ";
/// Printed by the child for each transaction that it knows to be committed.
const COMMITTED: &str = "committed ";
/// Number of transactions that the child commits before it is killed.
const BEFORE_THE_KILL: usize = 40;
const VALID: TxValidationCode = TxValidationCode::Valid;

fn options(folder: &Path) -> DevnetOptions {
    DevnetOptions::new(folder, Clock::system(), gx_contract::Contracts)
}

fn admin(devnet: &Devnet) -> Client {
    Client::new(devnet, &devnet.identity(SignerRole::SuperAdmin), &Clock::system())
}

/// G1, G2: if the process is killed while it commits, every transaction that a client knows to be
/// committed is kept, and the chain is intact. The last envelope, whose result is unknown, is sent
/// again and takes effect once, whether it was committed or not.
#[tokio::test(flavor = "multi_thread")]
async fn g1_what_a_client_knows_to_be_committed_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let (known, last_sent) = commit_and_kill(folder.path());

    let devnet = Devnet::start(options(folder.path())).await.unwrap();
    let admin = admin(&devnet);
    for tx_id in &known {
        let status = admin.commit_status(tx_id).await.unwrap();
        assert_eq!(status.result(), TxValidationCode::Valid);
    }
    let chain = admin.chain().await;
    assert!(chain.len() > known.len());
    let mut previous_hash = Vec::new();
    for block in &chain {
        let header = block.header.clone().unwrap();
        assert_eq!(header.previous_hash, previous_hash);
        let data = block.data.as_ref().unwrap();
        assert_eq!(header.data_hash, gx_fabric_proto::block_data_hash(data));
        previous_hash = gx_fabric_proto::block_header_hash(&header).to_vec();
    }

    admin.submit(&last_sent).await.unwrap();
    let next = admin.invoke("AdminContract:GetSystemStatus", &[]).await.unwrap();
    assert_eq!(next.block, u64::try_from(chain.len()).unwrap() + 1);
    let chain = admin.chain().await;
    let valid = chain.iter().flat_map(transactions).filter(|transaction| {
        transaction.id == last_sent.tx_id && validation_code(transaction.code) == VALID
    });
    assert_eq!(valid.count(), 1);
}

/// Starts this test binary as a child process that commits without end, and kills it. Returns the
/// transactions that the child knew to be committed, and the last envelope that it sent.
fn commit_and_kill(folder: &Path) -> (Vec<String>, Signed) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::durability::the_child_commits_until_it_is_killed"])
        .args(["--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut known, mut last_sent) = (Vec::new(), None);
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(tx_id) = line.strip_prefix(COMMITTED) {
            known.push(tx_id.to_owned());
        } else if let Some(envelope) = line.strip_prefix(SENT) {
            last_sent = signed(envelope).or(last_sent);
        }
        if known.len() == BEFORE_THE_KILL {
            // The rest of the output in the pipe is read, too.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (known, last_sent.unwrap())
}

/// Returns the transaction of a line, or `None` if the kill has truncated the line.
fn signed(line: &str) -> Option<Signed> {
    let (tx_id, envelope) = line.split_once(' ')?;
    let envelope = Envelope::decode(hex::decode(envelope).ok()?.as_slice()).ok()?;
    Some(Signed { tx_id: tx_id.to_owned(), envelope })
}

/// The child process of the test above. Run as a normal test, it does nothing.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how a test binary is told that it is the child")]
async fn the_child_commits_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let devnet = Devnet::start(options(Path::new(&folder))).await.unwrap();
    let admin = admin(&devnet);
    println!();
    for n in 0.. {
        let id = CommandId::derive(&["child", &n.to_string()]).to_string();
        let transaction = match n {
            0 => admin.endorse("AdminContract:BootstrapSystem", &[&id]).await,
            n if n % 2 == 1 => admin.endorse("AdminContract:PauseSystem", &["TEST", &id]).await,
            _ => admin.endorse("AdminContract:ResumeSystem", &[&id]).await,
        };
        let transaction = transaction.unwrap();
        let envelope = hex::encode(transaction.envelope.encode_to_vec());
        println!("{SENT}{} {envelope}", transaction.tx_id);
        admin.submit(&transaction).await.unwrap();
        let status = admin.commit_status(&transaction.tx_id).await.unwrap();
        assert_eq!(status.result(), VALID);
        println!("{COMMITTED}{}", transaction.tx_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_start_continues_the_same_chain_with_the_same_identities() {
    let folder = tempfile::tempdir().unwrap();
    let first = Devnet::start(options(folder.path())).await.unwrap();
    let (root, endpoint) = (first.tls_root_pem(), first.endpoint());
    let identity = first.identity(SignerRole::SuperAdmin);
    let genesis = admin(&first).block(0).await;
    let certificate = first.msp_dir(SignerRole::SuperAdmin).join("signcerts/cert.pem");
    assert_eq!(std::fs::read_to_string(certificate).unwrap(), identity.certificate_pem);
    bounded("stop", first.stop()).await;

    let listen = endpoint.replace("localhost", "127.0.0.1").parse().unwrap();
    let again = DevnetOptions { listen, ..options(folder.path()) };
    let second = Devnet::start(again).await.unwrap();
    assert_eq!((second.tls_root_pem(), second.endpoint()), (root, endpoint));
    let kept = second.identity(SignerRole::SuperAdmin);
    assert_eq!(kept.certificate_pem, identity.certificate_pem);
    assert_eq!(admin(&second).block(0).await, genesis);
}

/// FAB-15: if a certificate's file has other text, only the certificate is sent to clients and
/// written to blocks. A key in the file is refused, and the error names the file.
#[tokio::test(flavor = "multi_thread")]
async fn fab_15_nothing_but_certificates_leaves_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = Devnet::start(options(folder.path())).await.unwrap();
    let (identity, root) = (first.identity(SignerRole::Admin), first.tls_root_pem());
    let msp = first.msp_dir(SignerRole::Admin);
    let organization = msp.ancestors().nth(3).unwrap();
    let files = [
        (msp.join("signcerts/cert.pem"), msp.join("keystore/priv_sk")),
        (
            organization.join("tlsca/tlsca.org1.devnet.gx-cert.pem"),
            organization.join("tlsca/priv_sk"),
        ),
        (organization.join("ca/ca.org1.devnet.gx-cert.pem"), organization.join("ca/priv_sk")),
    ];
    bounded("stop", first.stop()).await;

    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    for (certificate, key) in &files {
        let around = format!("kept in the safe\n{}# the end\n{}", read(certificate), read(key));
        std::fs::write(certificate, around).unwrap();
        let refused = start_again(folder.path()).await.err().unwrap().to_string();
        assert!(refused.contains(certificate.to_str().unwrap()), "{refused}");
        assert!(refused.contains("private key"), "{refused}");
        let without_key = read(certificate).replace(&read(key), "");
        std::fs::write(certificate, without_key).unwrap();
    }
    // The next start creates the genesis block again, from these files.
    std::fs::remove_file(folder.path().join(LEDGER_FILE)).unwrap();
    let second = start_again(folder.path()).await.unwrap();
    assert_eq!(second.identity(SignerRole::Admin).certificate_pem, identity.certificate_pem);
    assert_eq!(second.tls_root_pem(), root);
    let block = admin(&second).block(0).await;
    let config = String::from_utf8_lossy(&block.data.unwrap().data.concat()).into_owned();
    assert!(config.contains("BEGIN CERTIFICATE"));
    assert!(!config.contains("kept in the safe"));
}

/// Starts in a folder that a failed start may not have released yet.
async fn start_again(folder: &Path) -> Result<Devnet, DevnetError> {
    let start = async {
        loop {
            match Devnet::start(options(folder)).await {
                Err(DevnetError::InUse { .. }) => tokio::task::yield_now().await,
                started => return started,
            }
        }
    };
    bounded("the folder is free", start).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_a_taken_port_and_another_channel_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(options(folder.path())).await.unwrap();
    let refused = Devnet::start(options(folder.path())).await.err().unwrap();
    assert!(matches!(refused, DevnetError::InUse { .. }), "{refused}");
    let other = tempfile::tempdir().unwrap();
    let listen = devnet.endpoint().replace("localhost", "127.0.0.1").parse().unwrap();
    let refused = Devnet::start(DevnetOptions { listen, ..options(other.path()) }).await;
    let refused = refused.err().unwrap();
    assert!(matches!(refused, DevnetError::Listen { .. }), "{refused}");
    bounded("stop", devnet.stop()).await;
    let elsewhere = DevnetOptions { channel: "other".to_owned(), ..options(folder.path()) };
    let refused = Devnet::start(elsewhere).await.err().unwrap();
    assert!(matches!(refused, DevnetError::OtherChannel { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_first_start_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let half_made = folder.path().join("organizations.new/peerOrganizations");
    std::fs::create_dir_all(&half_made).unwrap();
    std::fs::write(half_made.join("rest"), "").unwrap();
    let devnet = Devnet::start(options(folder.path())).await.unwrap();
    assert_eq!(admin(&devnet).chain().await.len(), 1);
    assert!(!folder.path().join("organizations.new").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = Devnet::start(options(&file.join("ledger"))).await.err().unwrap();
    let message = refused.to_string();
    assert!(message.contains("file/ledger") && message.contains("--data-dir"), "{message}");
}
