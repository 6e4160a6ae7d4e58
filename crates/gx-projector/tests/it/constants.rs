//! Program, database and ledger have the same constants, or the health report names those that
//! differ.

use gx_model::CountryList;
use gx_projector::{ProjectorSettings, differences, run};
use gx_serve::HealthBoard;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::chain::{BOUND, Chain};

async fn named(chain: &Chain) -> Vec<String> {
    let found = differences(&mut chain.db.connection().await).await.unwrap();
    found.iter().map(ToString::to_string).collect()
}

/// CFG-10, DB-07: seeded and loaded constants come from one source and agree. A changed start of a
/// pool, and countries that were removed or changed on either side, are named.
#[tokio::test]
async fn a_changed_constant_is_named_with_both_values() {
    let chain = Chain::bootstrapped().await;
    chain.catch_up(&mut chain.projector()).await;
    assert_eq!(named(&chain).await, [""; 0]);

    chain
        .sql(
            r#"UPDATE "LedgerPool" SET "startBalance" = "startBalance" - 1
                   WHERE "poolId" = 'SYSTEM_LOAN_POOL';
               DELETE FROM "Country" WHERE "countryCode" = 'AD';
               DELETE FROM "LedgerCountry" WHERE "countryCode" = 'MY';
               UPDATE "LedgerCountry" SET "sharePpb" = 3 WHERE "countryCode" = 'SG'"#,
        )
        .await;
    let share = |code: &str| CountryList::embedded().get(code.parse().unwrap()).unwrap().share_ppb;
    let (ad, my, sg) = (share("AD"), share("MY"), share("SG"));
    let expected = [
        format!("country AD: {ad} in the program, absent in the database"),
        format!("country MY: {my} in the program, absent on the ledger"),
        format!("country SG: {sg} in the program, 3 on the ledger"),
        "start of pool SYSTEM_LOAN_POOL: 312500000000000000 in the program, \
         312499999999999999 on the ledger"
            .to_owned(),
    ];
    assert_eq!(named(&chain).await, expected);
}

/// CFG-10, DB-07: a projector that starts names the missing country in its health report, and is
/// degraded for this reason alone.
#[tokio::test]
async fn a_starting_projector_reports_the_missing_country() {
    let chain = Chain::bootstrapped().await;
    chain.sql(r#"DELETE FROM "Country" WHERE "countryCode" = 'AD'"#).await;
    let board = HealthBoard::new("projector", chain.clock.clone());
    let stop = CancellationToken::new();
    let settings = ProjectorSettings { tip_interval_ms: 50, ..ProjectorSettings::default() };
    let rng = StdRng::seed_from_u64(1);
    let running = tokio::spawn(run(chain.projector(), settings, rng, stop.clone(), board.clone()));
    let reported = async {
        loop {
            let report = serde_json::to_value(board.report().await).unwrap();
            if report["checks"]["constants"]["status"] == "unhealthy" {
                return report;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let report = tokio::time::timeout(BOUND, reported).await.unwrap();
    let message = report["checks"]["constants"]["message"].as_str().unwrap();
    assert!(message.starts_with("country AD: ") && !message.contains(';'), "{message}");
    assert_eq!(report["status"], "degraded", "{report}");
    stop.cancel();
    running.await.unwrap().unwrap();
}
