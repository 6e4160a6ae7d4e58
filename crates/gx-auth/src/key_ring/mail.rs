//! The key ring as the cipher of queued mails. Called by gx-mail when a mail is added and sent.

use gx_mail::{ContentCipher, EncryptedContent};
use secrecy::SecretSlice;

use super::rotation::EncryptedColumn;
use super::{EncryptedValue, KeyRing};

impl ContentCipher for KeyRing {
    fn encrypt_content(&self, mail_id: &str, plain: &[u8]) -> EncryptedContent {
        let EncryptedValue { key_version, bytes } =
            self.encrypt(EncryptedColumn::QueuedMailContent.place(mail_id), plain);
        EncryptedContent { key_version, bytes }
    }

    fn decrypt_content(
        &self,
        mail_id: &str,
        content: &EncryptedContent,
    ) -> Result<SecretSlice<u8>, String> {
        let place = EncryptedColumn::QueuedMailContent.place(mail_id);
        let bytes = content.bytes.clone();
        let value = EncryptedValue { key_version: content.key_version, bytes };
        self.decrypt(place, &value).map_err(|error| error.to_string())
    }
}
