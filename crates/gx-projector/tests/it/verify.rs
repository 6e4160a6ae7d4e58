//! The read model is compared with the chain fact by fact.

use std::cell::Cell;
use std::time::Duration;

use gx_model::Qirat;
use gx_projector::{
    ApplySettings, Disagreement, Subject, Verification, Verifier, VerifyError, VerifyLimits,
};

use crate::chain::{Chain, THREE_DIVERGENCES, create, grant, transfer, without_number_two};

fn verifier(chain: &Chain) -> Verifier {
    Verifier::new(chain.db.pool().clone(), chain.ledger.clone(), VerifyLimits::default())
}

async fn verify(chain: &Chain) -> (Verification, Vec<Disagreement>) {
    let mut found = Vec::new();
    let report = verifier(chain).run(|one| found.push(one.clone())).await.unwrap();
    (report, found)
}

/// Makes two people with their grants, one payment that costs a fee, and one to a pool.
async fn two_people(chain: &Chain) {
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&ann), create(&ben), grant(&ann), grant(&ben)]).await;
    let [from, to] = [&ann, &ben].map(|person| person.id.to_string());
    chain.execute(&[transfer(&from, &to, 120), transfer(&to, "SYSTEM_LOAN_POOL", 3)]).await;
}

/// G3, G4: what the projector wrote equals the chain, and no money is missing.
#[tokio::test]
async fn an_untouched_read_model_is_the_chains() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let (report, found) = verify(&chain).await;
    assert_eq!(found, []);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.people, report.pools), (2, 6));
    assert_eq!(report.supply, Qirat::SUPPLY.get());
}

/// PRJ-12: one balance, one ledger id and one country that differ from the chain are three subjects
/// of the report, each with both values.
#[tokio::test]
async fn a_wrong_balance_a_wrong_id_and_a_missing_country_are_three_differences() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    chain.sql(THREE_DIVERGENCES).await;
    let (report, found) = verify(&chain).await;
    assert_eq!((report.differences, report.held_back), (3, 0), "{found:#?}");
    let subjects: Vec<_> = found.iter().map(|one| one.subject.clone()).collect();
    let person = |n: u32| Subject::Person(format!("MY 463 AUN834 0QKAB {n:04}"));
    assert_eq!(subjects, [Subject::Country("MY".parse().unwrap()), person(1), person(2)]);
    let named: Vec<_> = found[1..].iter().map(|one| one.facts[0].fact.as_str()).collect();
    assert_eq!(named, ["Wallet.balance", "UserProfile.fabricUserId"]);
    assert_eq!(found[0].facts.len(), 5, "{}", found[0]);
    assert!(found[0].facts.iter().all(|fact| fact.here.is_none()), "{}", found[0]);
}

/// G4: money that only the chain has shows in the sums, even if every row is right.
#[tokio::test]
async fn an_account_that_only_the_chain_has_shows_in_the_sums() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    chain
        .sql(
            r#"DELETE FROM "Wallet" WHERE "profileId" = 'profile-2';
               DELETE FROM "LedgerUser" WHERE "profileId" = 'profile-2';
               DELETE FROM "FabricIdReservation" WHERE "profileId" = 'profile-2';
               UPDATE "UserProfile" SET "onchainStatus" = 'PENDING', "fabricUserId" = NULL
                   WHERE "profileId" = 'profile-2'"#,
        )
        .await;
    let (report, found) = verify(&chain).await;
    assert_eq!(report.differences, 1, "{found:#?}");
    assert_eq!(found[0].subject, Subject::Totals);
    assert_eq!(found[0].facts[0].fact, "wallets");
}

/// G3: a difference that a dead letter explains is marked as held back.
#[tokio::test]
async fn a_difference_behind_a_dead_letter_is_marked_as_held_back() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    let late = chain.account(3, "MY 463 AUN834 0QKZB 0002".parse().unwrap()).await;
    chain.execute(&[create(&late)]).await;
    let settings = ApplySettings { decode: without_number_two, ..chain.settings() };
    chain.catch_up(&mut chain.projector_by(settings)).await;
    let (report, found) = verify(&chain).await;
    assert_eq!((report.differences, report.held_back), (1, 1), "{found:#?}");
    assert!(found[0].to_string().ends_with("(held back by a dead letter)"), "{}", found[0]);
}

/// Payments during the comparison are not reported as differences.
#[tokio::test]
async fn payments_under_way_are_no_differences() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let ids = chain.one(r#"SELECT string_agg("fabricUserId", ',') FROM "LedgerUser""#).await;
    let ids: Vec<&str> = ids.split(',').collect();
    let paying = async {
        for round in 0..40 {
            let (from, to) = (ids[round % 2], ids[(round + 1) % 2]);
            chain.execute(&[transfer(from, to, 1)]).await;
        }
    };
    let ended = Cell::new(false);
    let projecting = async {
        while !ended.get() {
            projector.step(Duration::from_millis(20)).await.unwrap();
        }
    };
    let verifying = async {
        let (report, found) = verify(&chain).await;
        assert_eq!((report.differences, found), (0, vec![]));
    };
    let both = async {
        tokio::join!(paying, verifying);
        ended.set(true);
    };
    tokio::join!(both, projecting);
}

/// A read model that is behind is not reported as wrong: nothing is compared.
#[tokio::test]
async fn a_read_model_that_is_behind_is_not_compared() {
    let chain = Chain::bootstrapped().await;
    let unborn = verifier(&chain).run(|_| {}).await.unwrap_err();
    assert!(matches!(unborn, VerifyError::NothingProjected), "{unborn:?}");
    chain.catch_up(&mut chain.projector()).await;
    two_people(&chain).await;
    let limits =
        VerifyLimits { catch_up_timeout: Duration::from_millis(50), ..VerifyLimits::default() };
    let impatient = Verifier::new(chain.db.pool().clone(), chain.ledger.clone(), limits);
    let behind = impatient.run(|_| {}).await.unwrap_err();
    assert!(matches!(behind, VerifyError::Behind { .. }), "{behind:?}");
    let other = Chain::bootstrapped().await;
    let (pool, limits) = (chain.db.pool().clone(), VerifyLimits::default());
    let foreign = Verifier::new(pool, other.ledger.clone(), limits);
    let foreign = foreign.run(|_| {}).await.unwrap_err();
    assert!(matches!(foreign, VerifyError::OtherChain(_)), "{foreign:?}");
}
