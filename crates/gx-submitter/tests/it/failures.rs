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

/// OUT-03: whatever an error looks like, numeric, with a NUL or a megabyte long, it is stored, the
/// tries rise, and at the limit the command is dead.
#[tokio::test]
async fn any_error_is_stored_and_the_tries_stop_at_the_limit() {
    let mut desk = Desk::open().await;
    let megabyte = "x".repeat(1_000_000);
    for (n, (status, text)) in
        [(500, "13"), (503, "\0 \u{0}"), (500, megabyte.as_str())].into_iter().enumerate()
    {
        let person = desk.chain.person(u32::try_from(n).unwrap()).await;
        let id = desk.enqueue_for(&person, &create(&person)).await;
        desk.chain.devnet.faults().refuse_what_holds(&person.id.to_string(), status, text);
        let (mut seen, deadline) = (vec![], Instant::now() + BOUND);
        while desk.status(id).await != "DEAD" {
            let _ = desk.submitter.step().await;
            let _ = desk.projector.step(Duration::from_millis(5)).await;
            let attempts = desk.column(id, "attempts").await;
            if seen.last() != Some(&attempts) {
                seen.push(attempts);
            }
            assert!(Instant::now() < deadline, "{}", desk.everything().await);
        }
        let rising: Vec<_> = seen.iter().filter(|count| *count != "0").cloned().collect();
        // Four failures are charged; the first one might have had any cause.
        let expected = ["1", "2", "3", "4", "5"];
        let text = &text[..text.len().min(9)];
        assert!(rising == expected || rising == expected[..4], "{rising:?} {text}");
        assert_ne!(desk.column(id, "lastError").await, "NULL");
    }
    assert_eq!(desk.effects("UserCreated").await, (0, 0));
}

/// OUT-03: a process that dies in the middle of each try leaves the try counted, and the command is
/// dead at the limit instead of being tried for ever.
#[tokio::test]
async fn tries_that_die_in_the_middle_are_counted() {
    let mut desk = Desk::open().await;
    let person = desk.chain.person(1).await;
    let id = desk.enqueue_for(&person, &create(&person)).await;
    let faults = desk.chain.devnet.faults();
    faults.delay_endorsements(Duration::from_secs(600));
    for expected in 1..=4 {
        let mut mortal = submitter(&desk.chain, settings("mortal"));
        // Tries that ended, and the current one.
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
        // The step is dropped in the middle of the endorsement, as by a kill.
        tokio::select! {
            _ = async { while mortal.step().await.is_ok() {} } => panic!("the step ended"),
            done = tokio::time::timeout(BOUND, counted) => done.unwrap(),
        }
    }
    faults.delay_endorsements(Duration::ZERO);
    desk.submitter = submitter(&desk.chain, settings("mortal"));
    desk.drain().await;
    assert_eq!(desk.status(id).await, "DEAD");
    assert_eq!(desk.column(id, "attempts").await, "4");
}

/// A batch that is refused as a whole is split: only the command that cannot be endorsed is left.
#[tokio::test]
async fn a_refused_batch_is_bisected() {
    let mut desk = Desk::open().await;
    let mut ids = Vec::new();
    for n in 0..4 {
        let person = desk.chain.person(n).await;
        ids.push(desk.enqueue_for(&person, &create(&person)).await);
    }
    // The whole batch, its first half, and the first half of that are refused once each.
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

/// RDY-07: a ledger that is away costs no tries, and the backlog is sent when it is back.
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

/// A signer without the role is a wrong setting: its batch is not split, no command is charged, and
/// all commit when the signer is right.
#[tokio::test]
async fn a_wrong_signer_charges_no_command() {
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
        assert_eq!(desk.column(*id, "failures").await, "{}");
        assert!(desk.column(*id, "lastError").await.contains("ROLE_REQUIRED"));
    }
    desk.drain().await;
    for id in ids {
        assert_eq!(desk.status(id).await, "COMMITTED");
    }
}
