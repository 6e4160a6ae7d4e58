//! What a queued mail is made from, and its encryption. The key ring of gx-auth is the cipher.

use secrecy::SecretSlice;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What a mail is made from. Nothing in it was chosen by a client except the address, so that
/// nobody can send texts of their own through GX.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailContent {
    /// The address. Of a request without a session, the address that was asked about.
    pub to: String,
    /// The address as it was typed, where accounts are looked up by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typed: Option<String>,
    /// Whether the mail is about an administrator's account.
    #[serde(default)]
    pub is_admin: bool,
    /// Secret of the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The code of eight digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// When code and token were drawn.
    #[serde(default, with = "time::serde::timestamp::option")]
    pub drawn_at: Option<OffsetDateTime>,
    /// When it happened.
    #[serde(default, with = "time::serde::timestamp::option")]
    pub at: Option<OffsetDateTime>,
    /// Address of the client that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Mark of the password with which a change of the address was asked for. The mail is of no use
    /// after the password has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_mark: Option<String>,
    /// Number of recovery codes that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<i64>,
}

/// Without the values, which are secrets and personal data.
impl std::fmt::Debug for MailContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MailContent")
    }
}

/// An encrypted content, as two columns store it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedContent {
    /// Version of the master key.
    pub key_version: i32,
    /// The encrypted bytes.
    pub bytes: Vec<u8>,
}

/// Encrypts contents, each bound to its mail.
pub trait ContentCipher: Send + Sync {
    /// Encrypts the content of a mail.
    fn encrypt_content(&self, mail_id: &str, plain: &[u8]) -> EncryptedContent;

    /// Decrypts the content of a mail.
    ///
    /// # Errors
    /// The reason if the key is missing, or the content was changed or belongs to another mail.
    fn decrypt_content(
        &self,
        mail_id: &str,
        content: &EncryptedContent,
    ) -> Result<SecretSlice<u8>, String>;
}

impl MailContent {
    /// Returns the encrypted form.
    pub(crate) fn encrypted(&self, cipher: &dyn ContentCipher, mail_id: &str) -> EncryptedContent {
        let plain = serde_json::to_vec(self).expect("all members have JSON forms");
        cipher.encrypt_content(mail_id, &plain)
    }

    /// Reads the encrypted form.
    pub(crate) fn decrypt(
        cipher: &dyn ContentCipher,
        mail_id: &str,
        content: &EncryptedContent,
    ) -> Result<Self, String> {
        use secrecy::ExposeSecret as _;
        let plain = cipher.decrypt_content(mail_id, content)?;
        serde_json::from_slice(plain.expose_secret())
            .map_err(|_| "the content is of another release".to_owned())
    }
}
