//! Whether the read model is compared with the chain fact by fact.

use std::cell::Cell;
use std::time::Duration;

use gx_model::Qirat;
use gx_projector::{Disagreement, Subject, Verification, Verifier, VerifyError, VerifyLimits};

use crate::chain::{Chain, THREE_DIVERGENCES, create, grant, transfer};

fn verifier(chain: &Chain) -> Verifier {
    Verifier::new(chain.db.pool().clone(), chain.ledger.clone(), VerifyLimits::default())
}

async fn verify(chain: &Chain) -> (Verification, Vec<Disagreement>) {
    let mut found = Vec::new();
    let report = verifier(chain).run(|one| found.push(one.clone())).await.unwrap();
    (report, found)
}

/// Two people with their grants, one payment that costs a fee, and one to a pool.
async fn two_people(chain: &Chain) {
    let (ann, ben) = (chain.person(1).await, chain.person(2).await);
    chain.execute(&[create(&ann), create(&ben), grant(&ann), grant(&ben)]).await;
    let [from, to] = [&ann, &ben].map(|person| person.id.to_string());
    chain.execute(&[transfer(&from, &to, 120), transfer(&to, "SYSTEM_LOAN_POOL", 3)]).await;
}

/// G3, G4: what the projector wrote is what the chain says, and all money is there.
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

/// PRJ-12: one balance, one ledger id and one country that are not the chain's are three
/// subjects of the report, each with what stands here and there.
#[tokio::test]
async fn a_wrong_balance_a_wrong_id_and_a_missing_country_are_three_differences() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    chain.catch_up(&mut chain.projector()).await;
    chain.sql(THREE_DIVERGENCES).await;
    let (report, found) = verify(&chain).await;
    assert_eq!((report.differences, report.held_back), (3, 0), "{found:#?}");
    let subjects: Vec<_> = found.iter().map(|one| one.subject.clone()).collect();
    let person = |n: u32| Subject::Person(format!("profile-{n}"));
    assert_eq!(subjects, [Subject::Country("MY".parse().unwrap()), person(1), person(2)]);
    let named: Vec<_> = found[1..].iter().map(|one| one.facts[0].fact.as_str()).collect();
    assert_eq!(named, ["Wallet.balance", "UserProfile.fabricUserId"]);
    assert_eq!(found[0].facts.len(), 5, "{}", found[0]);
    assert!(found[0].facts.iter().all(|fact| fact.here.is_none()), "{}", found[0]);
}

/// G4: money that only the chain knows of shows in the sums, though every row is right.
#[tokio::test]
async fn an_account_that_nobody_here_knows_shows_in_the_sums() {
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

/// G3: what a dead letter holds back is named as such.
#[tokio::test]
async fn what_a_dead_letter_holds_back_is_said_to_be_held() {
    let chain = Chain::bootstrapped().await;
    two_people(&chain).await;
    let late = chain.person(3).await;
    chain.sql(r#"DELETE FROM "FabricIdReservation" WHERE "profileId" = 'profile-3'"#).await;
    chain.execute(&[create(&late)]).await;
    chain.catch_up(&mut chain.projector()).await;
    chain
        .sql(&format!(
            r#"INSERT INTO "FabricIdReservation" VALUES ('{}', 'profile-3', 'x', '2020-01-01Z')"#,
            late.id
        ))
        .await;
    let (report, found) = verify(&chain).await;
    assert_eq!((report.differences, report.held_back), (1, 1), "{found:#?}");
    assert!(found[0].to_string().ends_with("(held back by a dead letter)"), "{}", found[0]);
}

/// People who go on paying are no differences, however the comparison falls between.
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

/// A read model that is behind is no wrong one: nothing is compared.
#[tokio::test]
async fn a_read_model_that_is_behind_is_not_compared() {
    let chain = Chain::bootstrapped().await;
    let unborn = verifier(&chain).run(|_| {}).await.unwrap_err();
    assert!(matches!(unborn, VerifyError::NothingProjected), "{unborn:?}");
    chain.catch_up(&mut chain.projector()).await;
    two_people(&chain).await;
    let limits = VerifyLimits { patience: Duration::from_millis(50), ..VerifyLimits::default() };
    let impatient = Verifier::new(chain.db.pool().clone(), chain.ledger.clone(), limits);
    let behind = impatient.run(|_| {}).await.unwrap_err();
    assert!(matches!(behind, VerifyError::Behind { .. }), "{behind:?}");
    let other = Chain::bootstrapped().await;
    let (pool, limits) = (chain.db.pool().clone(), VerifyLimits::default());
    let foreign = Verifier::new(pool, other.ledger.clone(), limits);
    let foreign = foreign.run(|_| {}).await.unwrap_err();
    assert!(matches!(foreign, VerifyError::OtherChain(_)), "{foreign:?}");
}
