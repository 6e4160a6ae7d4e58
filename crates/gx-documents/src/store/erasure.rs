//! The records of erasures: one small object for each erased person. They survive a restore of the
//! database, so that a person who was erased stays so.

use futures_util::TryStreamExt as _;
use gx_db::ProfileId;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::{DocumentStore, StoreError};

/// Prefix of the records.
const ERASURES: &str = "erasures";

/// That a person was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureRecord {
    /// The person.
    pub profile_id: ProfileId,
    /// When the erasure was ordered.
    #[serde(with = "time::serde::rfc3339")]
    pub erased_at: OffsetDateTime,
    /// Why, as a code.
    pub reason_code: String,
}

/// Returns the name of the record of a person: a hash, because an id may have any characters.
pub(crate) fn record_name(profile_id: &ProfileId) -> String {
    hex::encode(Sha256::digest(profile_id.as_str()))
}

fn path(name: &str) -> Path {
    Path::from(format!("{ERASURES}/{name}"))
}

impl DocumentStore {
    /// Writes the record of an erasure and returns it once it is on disk. If the person has one
    /// already, returns that.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn record_erasure(&self, record: ErasureRecord) -> Result<ErasureRecord, StoreError> {
        let name = record_name(&record.profile_id);
        let text = serde_json::to_vec(&record).expect("a record can be written as JSON");
        let at = path(&name);
        let put = self.objects.put_opts(&at, PutPayload::from(text), PutMode::Create.into());
        match put.await {
            Ok(_) => Ok(record),
            Err(object_store::Error::AlreadyExists { .. }) => self.erasure(&name).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the names of the records of all erasures.
    ///
    /// # Errors
    /// [`StoreError::Object`] if the store fails.
    pub async fn erasure_names(&self) -> Result<Vec<String>, StoreError> {
        let found: Vec<_> = self.objects.list(Some(&Path::from(ERASURES))).try_collect().await?;
        let name = |object: object_store::ObjectMeta| object.location.filename().map(str::to_owned);
        Ok(found.into_iter().filter_map(name).collect())
    }

    /// Returns the record with this name.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails, or if the object is not a record.
    pub async fn erasure(&self, name: &str) -> Result<ErasureRecord, StoreError> {
        let text = self.objects.get(&path(name)).await?.bytes().await?;
        serde_json::from_slice(&text)
            .ok()
            .filter(|record: &ErasureRecord| record_name(&record.profile_id) == name)
            .ok_or_else(|| StoreError::ErasureForm { name: format!("{ERASURES}/{name}") })
    }
}
