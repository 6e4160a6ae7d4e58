//! PostgreSQL as GX uses it: settings, pools that refuse a wrong instance, migrations, the
//! schema's fingerprint, a private cluster for development, and databases for tests.

mod catalogue;
pub mod cluster;
mod endpoint;
mod migrate;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;

pub use catalogue::Catalogue;
pub use migrate::{
    MIGRATIONS, MigrateError, Migration, MigrationReport, Quarantined, migrate, migrate_to, pending,
};
pub use settings::{DatabaseSettings, SettingsError};
pub use sqlx::{PgConnection, PgPool, Postgres, Transaction};
