//! Declared results of commands, which are checked on the ledger after the commit.

use std::time::Duration;

use gx_devnet::TxValidationCode;
use gx_model::{Command, CommandId, Country, CountryList, Qirat};
use gx_outbox::enqueue::{NewCommand, enqueue};
use gx_projector::Progress;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::chain::{BOUND, Chain};
use crate::commands::send_due;

async fn want(chain: &Chain, command: &Command) -> CommandId {
    let command_id = crate::chain::fresh_id();
    let new = NewCommand {
        command_id,
        command,
        profile_id: None,
        requested_by: "a test",
        request_id: None,
    };
    enqueue(&mut chain.db.connection().await, new, chain.clock.now()).await.unwrap();
    command_id
}

async fn says(chain: &Chain, id: CommandId) -> String {
    let what = r#"concat_ws(' ', status, "settledAt" IS NOT NULL, outcome ->> 'status',
                            "lastError")"#;
    chain.one(&format!(r#"SELECT {what} FROM "OutboxCommand" WHERE "commandId" = '{id}'"#)).await
}

fn one_country() -> Vec<Country> {
    vec![CountryList::embedded().get("MY".parse().unwrap()).unwrap().clone()]
}

/// Steps until no block comes; then results are checked.
async fn rest(chain: &Chain, projector: &mut gx_projector::Projector) {
    chain.catch_up(projector).await;
    idle(projector).await;
}

async fn idle(projector: &mut gx_projector::Projector) {
    let deadline = tokio::time::Instant::now() + BOUND;
    while !matches!(projector.step(Duration::from_millis(5)).await, Ok(Progress::Idle)) {
        assert!(tokio::time::Instant::now() < deadline, "blocks without end");
    }
}

/// OUT-08: a bootstrap that the ledger commits with its event but without writing any pool ends
/// COMMITTED_UNVERIFIED with what is missing, is counted, and is never shown as COMMITTED. The same
/// holds for a list of countries that was not written.
#[tokio::test]
async fn a_bootstrap_without_pools_is_committed_unverified() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let chain = Chain::start().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let bootstrap = want(&chain, &Command::BootstrapSystem {}).await;
    let countries = Command::InitializeCountryData { countries: one_country() };
    let countries = want(&chain, &countries).await;

    chain.devnet.faults().force_validation_code(1, TxValidationCode::Valid);
    send_due(&chain, &mut projector).await;
    assert_eq!(says(&chain, bootstrap).await, "SUBMITTED f APPLIED");
    rest(&chain, &mut projector).await;
    let empty: Vec<_> = gx_model::Pool::ALL.into_iter().map(|pool| pool.name()).collect();
    let expected =
        format!("COMMITTED_UNVERIFIED t APPLIED the ledger holds nothing in {}", empty.join(", "));
    assert_eq!(says(&chain, bootstrap).await, expected);
    let expected = "COMMITTED_UNVERIFIED t APPLIED \
                    the ledger does not have country MY as it was wanted";
    assert_eq!(says(&chain, countries).await, expected);
    let rendered = metrics.render();
    for kind in ["BOOTSTRAP_SYSTEM", "INITIALIZE_COUNTRY_DATA"] {
        let counted = format!("gx_commands_unverified_total{{kind=\"{kind}\"}} 1");
        assert!(rendered.contains(&counted), "{rendered}");
    }
    let stats = gx_outbox::submitter::outbox_stats(&mut chain.db.connection().await).await.unwrap();
    assert!(stats.commands.contains(&(gx_model::CommandStatus::CommittedUnverified, 2)));
}

/// OUT-08: if the result is found, the command becomes COMMITTED, but not before it was checked,
/// and not while the ledger does not answer.
#[tokio::test]
async fn a_result_that_is_there_makes_the_command_committed() {
    let chain = Chain::start().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let bootstrap = want(&chain, &Command::BootstrapSystem {}).await;
    let countries = Command::InitializeCountryData { countries: one_country() };
    let countries = want(&chain, &countries).await;
    send_due(&chain, &mut projector).await;

    chain.devnet.faults().unavailable(true);
    idle(&mut projector).await;
    assert_eq!(says(&chain, bootstrap).await, "SUBMITTED f APPLIED");
    chain.devnet.faults().unavailable(false);
    let deadline = tokio::time::Instant::now() + BOUND;
    while says(&chain, countries).await != "COMMITTED t APPLIED" {
        rest(&chain, &mut projector).await;
        assert!(tokio::time::Instant::now() < deadline, "{}", says(&chain, countries).await);
    }
    assert_eq!(says(&chain, bootstrap).await, "COMMITTED t APPLIED");
    assert_eq!(chain.total().await, Qirat::SUPPLY.to_string());
}

/// OUT-08: replaying the ledger over a command whose result was missing does not change its status.
#[tokio::test]
async fn a_replay_does_not_change_a_checked_result() {
    let chain = Chain::start().await;
    let mut projector = chain.projector();
    chain.catch_up(&mut projector).await;
    let bootstrap = want(&chain, &Command::BootstrapSystem {}).await;
    chain.devnet.faults().force_validation_code(1, TxValidationCode::Valid);
    send_due(&chain, &mut projector).await;
    rest(&chain, &mut projector).await;
    let before = says(&chain, bootstrap).await;
    assert!(before.starts_with("COMMITTED_UNVERIFIED"), "{before}");

    projector.stop();
    chain.sql(r#"DELETE FROM "ProjectorState""#).await;
    let mut projector = chain.projector();
    rest(&chain, &mut projector).await;
    assert_eq!(says(&chain, bootstrap).await, before);
}
