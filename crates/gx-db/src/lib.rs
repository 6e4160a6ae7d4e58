//! PostgreSQL for GX: settings, pools that reject a wrong instance, migrations, the schema's
//! fingerprint, a private cluster for development, and databases for tests.

mod catalogue;
mod check;
pub mod cluster;
mod countries;
mod database;
mod endpoint;
mod failure;
mod ids;
mod instance;
mod lock_waits;
mod migrate;
mod names;
mod pooler;
mod pooler_refusal;
pub mod savepoint;
#[cfg(test)]
mod schema_rules;
mod session;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod upgrade;
mod writes;

// Enables TLS in sqlx.
use sqlx_core as _;

pub use catalogue::Catalogue;
pub use check::{CheckReport, InstanceAnswer, InstanceReport, check};
pub use countries::country_differences;
pub use database::{Database, DbError, Health, connect, connect_for_migration};
pub use failure::{DatabaseFailure, is_stale_plan};
pub use ids::{AdminId, ProfileId, SessionId, StoredCommandId, TxId};
pub use instance::{InstanceFacts, SchemaState, UnusableInstance};
pub use lock_waits::{Blocker, SeenBlocker};
pub use migrate::{
    MIGRATIONS, MigrateError, Migration, MigrationReport, MigrationSettings, Quarantined, migrate,
    migrate_to, pending,
};
pub use names::{Named, Parsed};
pub use pooler::Pooler;
pub use pooler_refusal::PoolerRefusal;
pub use session::{SessionSettings, is_lock_timeout, name_session};
pub use settings::{DatabaseSettings, SettingsError};
pub use sqlx::{PgConnection, PgPool, Postgres, Transaction};
pub use upgrade::upgrade;
pub use writes::FailingWrites;
