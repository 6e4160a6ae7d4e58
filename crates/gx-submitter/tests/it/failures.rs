//! Tries are counted before they are made, and end at the limit.

use std::time::Duration;

use gx_fabric_client::Identity;
use gx_model::SignerRole;
use gx_submitter::{Progress, Submitter, SubmitterError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::chain::{BOUND, create, grant};
use crate::desk::{Desk, parts, settings, submitter};

/// OUT-03: whatever an error looks like, numeric, with a NUL or a megabyte long, it is
/// stored, the attempts rise, and at the limit the command is dead.
#[tokio::test]
async fn whatever_the_error_looks_like_the_attempts_stop_at_the_limit() {
    let mut desk = Desk::open().await;
    let megabyte = "x".repeat(1_000_000);
    for (n, (status, text)) in
        [(500, "13"), (503, "\0 \u{0}"), (500, megabyte.as_str())].into_iter().enumerate()
    {
        let person = desk.chain.person(u32::try_from(n).unwrap()).await;
        let id = desk.enqueue_for(&person, &create(&person)).await;
        desk.chain.devnet.faults().fail_endorsements(4, status, text);
        let (mut seen, deadline) = (vec![], Instant::now() + BOUND);
        while desk.status(id).await != "DEAD" {
            let _ = desk.submitter.step().await;
            let attempts = desk.column(id, "attempts").await;
            if seen.last() != Some(&attempts) {
                seen.push(attempts);
            }
            assert!(Instant::now() < deadline, "{}", desk.everything().await);
        }
        let rising: Vec<_> = seen.iter().filter(|count| *count != "0").cloned().collect();
        assert_eq!(rising, ["1", "2", "3", "4"], "{}", &text[..text.len().min(9)]);
        assert_ne!(desk.column(id, "lastError").await, "NULL");
        // The rest of the failures must not meet the next command.
        for _ in 0..4 {
            let batch = [gx_model::BatchCommand::new(crate::chain::fresh_id(), &grant(&person))];
            let args = [serde_json::to_string(&batch).unwrap()];
            let (ledger, signer) = (&desk.chain.ledger, &desk.chain.super_admin);
            if ledger.endorse(signer, "BatchContract:Execute", &args).await.is_ok() {
                break;
            }
        }
    }
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
}

/// OUT-03: a process that dies in the middle of each try leaves the try counted, and the
/// command is dead at the limit instead of looping for ever.
#[tokio::test]
async fn tries_that_die_in_the_middle_count_too() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.slow_endorsements(Duration::from_secs(5));
    for expected in 1..=4 {
        let mut mortal = submitter(&desk.chain, settings("mortal"));
        // Tries that ended, with the one under way.
        let tries = format!(
            r#"SELECT attempts + (SELECT count(*) FROM "OutboxTry" t
                                  WHERE '{id}' = ANY(t."commandIds"))
               FROM "OutboxCommand" WHERE "commandId" = '{id}'"#
        );
        let counted = async {
            while desk.chain.one(&tries).await != expected.to_string() {
                tokio::task::yield_now().await;
            }
        };
        // It is dropped in the middle of the endorsement, as a kill would.
        tokio::select! {
            _ = async { while mortal.step().await.is_ok() {} } => panic!("the step ended"),
            done = tokio::time::timeout(BOUND, counted) => done.unwrap(),
        }
    }
    faults.slow_endorsements(Duration::ZERO);
    desk.submitter = submitter(&desk.chain, settings("mortal"));
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DEAD");
    assert_eq!(desk.column(id, "attempts").await, "4");
}

/// A batch that is refused whole is bisected: only the command that cannot go stays behind.
#[tokio::test]
async fn a_refused_batch_is_bisected() {
    let mut desk = Desk::open().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let person = desk.chain.person(n).await;
        ids.push(desk.enqueue_for(&person, &create(&person)).await);
    }
    // The whole, its first half, and the first of that half are refused once each.
    desk.chain.devnet.faults().fail_endorsements(3, 500, "no");
    desk.submitter.step().await.unwrap();
    assert_eq!(desk.status(ids[0]).await, "PENDING");
    for id in &ids[1..] {
        assert_eq!(desk.status(*id).await, "SUBMITTED");
    }
    desk.drain().await;
    for id in ids {
        assert_eq!(desk.status(id).await, "COMMITTED");
    }
    assert_eq!(desk.effects("UserCreated").await, (4, 4));
}

/// RDY-07: a ledger that is away costs no attempts, and the backlog drains when it is back.
#[tokio::test]
async fn a_ledger_that_is_away_spends_no_attempts() {
    let mut desk = Desk::open().await;
    assert_eq!(desk.submitter.step().await.unwrap(), Progress::Idle);
    let faults = desk.chain.devnet.faults();
    faults.refuse_connections(true);
    let mut ids = Vec::new();
    for n in 0..3 {
        let person = desk.chain.person(n).await;
        ids.push(desk.enqueue_for(&person, &create(&person)).await);
    }
    for _ in 0..50 {
        match desk.submitter.step().await {
            Ok(_) | Err(SubmitterError::Ledger(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for id in &ids {
        assert_eq!(desk.column(*id, "attempts").await, "0");
        assert_eq!(desk.status(*id).await, "PENDING");
    }
    faults.refuse_connections(false);
    desk.drain().await;
    for id in ids {
        assert_eq!(desk.status(id).await, "COMMITTED");
    }
}

/// A signer without the role is a wrong setting: its batch is not taken apart, no command is
/// used up by it, and all go when the signer is right.
#[tokio::test]
async fn a_wrong_signer_uses_no_command_up() {
    let mut desk = Desk::open().await;
    let mut ids = Vec::new();
    for n in 0..2 {
        let person = desk.chain.person(n).await;
        ids.push(desk.enqueue_for(&person, &create(&person)).await);
        ids.push(desk.enqueue_for(&person, &grant(&person)).await);
    }
    let pem = desk.chain.devnet.identity(SignerRole::PartnerApi);
    let partner = Identity::from_pem(&pem.msp_id, &pem.certificate_pem, &pem.private_key_pem);
    let mut parts = parts(&desk.chain);
    parts.signers.admin = partner.unwrap();
    let mut wrong = Submitter::new(parts, settings("wrong"), StdRng::seed_from_u64(6)).unwrap();
    wrong.step().await.unwrap();
    for id in &ids {
        assert_eq!(desk.status(*id).await, "PENDING");
        let charged = format!(
            r#"SELECT failures ->> 'UNAVAILABLE' FROM "OutboxCommand" WHERE "commandId" = '{id}'"#
        );
        assert_eq!(desk.chain.one(&charged).await, "1");
        assert!(desk.column(*id, "lastError").await.contains("ROLE_REQUIRED"));
    }
    desk.drain().await;
    for id in ids {
        assert_eq!(desk.status(id).await, "COMMITTED");
    }
}
