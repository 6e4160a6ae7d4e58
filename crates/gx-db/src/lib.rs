//! Pools with instance checks, migrations, schema fingerprint, private cluster, test databases.
