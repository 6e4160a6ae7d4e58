//! Mails as files, for development. Each is written whole or not at all.

use std::path::Path;

use tokio::fs;

use super::DeliveryFailure;

/// Writes `<mail_id>.eml` into the folder, which is created if it is missing.
pub(super) async fn write(
    folder: &Path,
    mail_id: &str,
    message: &[u8],
) -> Result<(), DeliveryFailure> {
    let writing = async {
        fs::create_dir_all(folder).await?;
        let draft = folder.join(format!("{mail_id}.new"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft).await?;
        tokio::io::AsyncWriteExt::write_all(&mut file, message).await?;
        file.sync_all().await?;
        fs::rename(draft, folder.join(format!("{mail_id}.eml"))).await
    };
    writing.await.map_err(|error: std::io::Error| {
        DeliveryFailure::Unavailable(format!("{} cannot be written: {error}", folder.display()))
    })
}
