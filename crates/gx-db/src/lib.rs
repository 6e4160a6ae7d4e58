//! PostgreSQL as GX uses it: settings, pools that refuse a wrong instance, migrations, the
//! schema's fingerprint, a private cluster for development, and databases for tests.

mod catalogue;
mod check;
pub mod cluster;
mod countries;
mod database;
mod endpoint;
mod instance;
mod migrate;
#[cfg(test)]
mod schema_rules;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;

pub use catalogue::Catalogue;
pub use check::{CheckReport, InstanceAnswer, InstanceReport, check};
pub use countries::country_differences;
pub use database::{Database, DbError, Health, connect, connect_for_migration};
pub use instance::{InstanceFacts, Refusal, SchemaState};
pub use migrate::{
    MIGRATIONS, MigrateError, Migration, MigrationReport, Quarantined, migrate, migrate_to, pending,
};
pub use settings::{DatabaseSettings, SettingsError};
pub use sqlx::{PgConnection, PgPool, Postgres, Transaction};
