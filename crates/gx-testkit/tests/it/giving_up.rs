//! A payment that cannot be made ends, and its payer can spend the money again.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_outbox::failure::RetryPolicy;
use gx_submitter::{Submitter, SubmitterContext, SubmitterSettings};
use gx_testkit::World;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Longest wait.
const BOUND: Duration = Duration::from_secs(30);

/// OUT-15, OUT-14: a payment that is invalid again and again while others succeed is given up: the
/// ledger cancels its id, its payer sees that it failed, and the money is available for a new
/// order.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_given_up_fails_and_releases_its_debit() {
    let mut world = World::start().await;
    let (payer, receiver) = (world.gx.register(1).await, world.gx.register(2).await);
    world.admit(&[payer.clone(), receiver.clone()]).await;
    let to = world.gx.id_of(&receiver).await;
    let retry = RetryPolicy {
        base: Duration::from_millis(2),
        invalid: 2,
        least_age: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let parts = SubmitterContext { retry, ..world.submitter.context().clone() };
    let settings = SubmitterSettings { resend_ms: 200, ..SubmitterSettings::default() };
    world.submitter = Submitter::new(parts, settings, StdRng::seed_from_u64(3)).unwrap();

    let faults = world.devnet.faults();
    faults.spoil_what_holds(&to, TxValidationCode::EndorsementPolicyFailure);
    let ordered = world.gx.pay(&payer, "first", &to, "10").await.expect(202);
    let id = ordered.str("/commandId").to_owned();
    let wallet = world.gx.wallet(&payer).await.unwrap();
    assert_eq!([wallet.str("/pendingDebits"), wallet.str("/available")], ["10.005", "489.995"]);

    let deadline = tokio::time::Instant::now() + BOUND;
    let ended = loop {
        world.submitter.step().await.unwrap();
        world.projector.step(Duration::from_millis(5)).await.unwrap();
        let seen = world.gx.follow(&payer, &id).await.expect(200);
        if seen.str("/status") == "FAILED" {
            break seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", seen.text);
    };
    assert_eq!(ended.str("/reason"), "CANCELLED");
    let admin = world.admin_token().await;
    let path = format!("/api/v1/admin/outbox/{id}");
    let command = world.gx.admin.get(&path, &admin).await.expect(200);
    assert_eq!(command.str("/status"), "DISCARDED", "{}", command.text);
    assert_eq!(command.str("/giveUp/by"), "submitter", "{}", command.text);
    let wallet = world.gx.wallet(&payer).await.unwrap();
    assert_eq!([wallet.str("/pendingDebits"), wallet.str("/available")], ["0", "500"]);

    faults.clear();
    let again = world.gx.pay(&payer, "second", &to, "10").await.expect(202);
    world.settle().await;
    let again = world.gx.follow(&payer, again.str("/commandId")).await.expect(200);
    assert_eq!(again.str("/status"), "CONFIRMED", "{}", again.text);
    assert_eq!(world.gx.balance(&payer).await, "489.995");
}
