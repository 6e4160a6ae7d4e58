use secrecy::SecretString;
use sqlx::raw_sql;

use super::*;
use crate::Migration;
use crate::testing::{TestDatabase, TestServer};

fn settings(urls: &[&str]) -> DatabaseSettings {
    DatabaseSettings::from_url(SecretString::from(urls.join(",")))
}

#[tokio::test]
async fn a_database_that_is_right_has_no_findings() {
    let database = TestDatabase::create().await;
    let report = check(&database.settings()).await.unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    let shown = report.to_string();
    assert!(shown.contains(database.name()) && shown.contains(": writer, system id "), "{shown}");
}

#[tokio::test]
async fn all_instances_are_compared_and_each_difference_is_named_with_its_instance() {
    let good = TestDatabase::create().await;
    let drifted = TestDatabase::create().await;
    let sql = r#"ALTER TABLE "Wallet" DROP COLUMN "isLocked", ADD COLUMN colour text"#;
    raw_sql(sql).execute(&mut drifted.connection().await).await.unwrap();
    let poorer = TestDatabase::create().await;
    let sql = r#"DELETE FROM "Country" WHERE "countryCode" = 'MY'"#;
    raw_sql(sql).execute(&mut poorer.connection().await).await.unwrap();
    let empty = TestDatabase::empty().await;
    let closed = "postgres://gx@127.0.0.1:1/gx";
    let urls = [good.url(), drifted.url(), poorer.url(), empty.url(), closed];
    let report = check(&settings(&urls)).await.unwrap();

    let label = |index: usize| report.instances[index].instance.clone();
    let expected = [
        format!("{}: column \"Wallet\".\"isLocked\" is missing", label(1)),
        format!("{}: column \"Wallet\".colour is not known", label(1)),
        format!("{}: country MY is missing from the database", label(2)),
        format!("{}: the database is empty; run `gx db migrate`", label(3)),
    ];
    for finding in &expected {
        assert!(report.findings.contains(finding), "{finding} in {report}");
    }
    let [silent, .., writers] = &report.findings[..] else { panic!("{report}") };
    assert!(silent.starts_with("127.0.0.1:1/gx: does not answer: "), "{silent}");
    assert!(writers.starts_with("more than one instance can be written to: "), "{writers}");
    assert_eq!(report.findings.len(), expected.len() + 2, "{report}");
}

#[tokio::test]
async fn another_cluster_and_a_pending_migration_are_findings() {
    let good = TestDatabase::create().await;
    let other = TestServer::start().await;
    crate::migrate_to(&mut other.connection().await, 1, &gx_model::Clock::system()).await.unwrap();
    let report = check(&settings(&[good.url(), &other.url()])).await.unwrap();
    let all = report.findings.join("\n");
    assert!(all.contains("belongs to cluster ") && all.contains(Migration::newest().name), "{all}");
}
