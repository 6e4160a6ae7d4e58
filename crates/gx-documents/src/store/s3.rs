//! An S3-compatible store. TLS is rustls over aws-lc-rs, as everywhere else.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;

use super::{DocumentStore, StoreError};

/// Size of the parts of an upload: the smallest that S3 takes, in bytes.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// A bucket of an S3-compatible store.
#[derive(Clone, Debug, clap::Args)]
pub struct S3Settings {
    /// Name of the bucket.
    #[arg(long, env = "GX_S3_BUCKET")]
    pub s3_bucket: String,
    /// Address of the store, such as https://s3.example.com.
    #[arg(long, env = "GX_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    #[arg(long, env = "GX_S3_REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// Id of the access key.
    #[arg(long, env = "GX_S3_ACCESS_KEY_ID")]
    pub s3_access_key_id: String,
    /// File with the secret of the access key.
    #[arg(long, env = "GX_S3_SECRET_KEY_FILE")]
    pub s3_secret_key_file: PathBuf,
}

impl DocumentStore {
    /// Opens a store in a bucket.
    ///
    /// # Errors
    /// [`StoreError`] if the file with the secret cannot be read or a setting is wrong.
    pub fn s3(settings: &S3Settings) -> Result<Self, StoreError> {
        let path = &settings.s3_secret_key_file;
        let secret = std::fs::read_to_string(path)
            .map_err(|source| StoreError::Folder { path: path.clone(), source })?;
        let mut bucket = AmazonS3Builder::new()
            .with_bucket_name(&settings.s3_bucket)
            .with_region(&settings.s3_region)
            .with_access_key_id(&settings.s3_access_key_id)
            .with_secret_access_key(secret.trim());
        if let Some(endpoint) = &settings.s3_endpoint {
            bucket = bucket.with_endpoint(endpoint);
        }
        Ok(Self { objects: Arc::new(bucket.build()?), local: None, part_bytes: PART_BYTES })
    }
}
