//! Writes a ledger to a file or stream: one that is stopped by [`dump`], and one that is running by
//! [`write_dump`].

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::files::read_tree;
use super::format::{DumpEntry, DumpPart, DumpWriter, Head};
use super::{DumpError, DumpSummary};
use crate::ledger::{ChainSummary, LEDGER_FILE, Piece, Store};
use crate::msp::ORGANIZATIONS_FOLDER;

/// Writes the ledger of a folder to a new file. No process may have the ledger open.
///
/// # Errors
/// [`DumpError`] says what prevents it.
pub fn dump(data_dir: &Path, file: &Path) -> Result<DumpSummary, DumpError> {
    let ledger = data_dir.join(LEDGER_FILE);
    if !ledger.exists() {
        return Err(DumpError::NoLedger { path: data_dir.to_owned() });
    }
    let store = Store::open(&ledger, true)?;
    write_new_file(file, |out| write_dump(&store, data_dir, out))
}

/// Creates a file that others cannot read, because it will have keys, and calls `write` to fill it.
/// If that fails, the file is removed.
pub(crate) fn write_new_file(
    path: &Path,
    write: impl FnOnce(&File) -> Result<DumpSummary, DumpError>,
) -> Result<DumpSummary, DumpError> {
    let unusable = |reason| DumpError::File { path: path.to_owned(), reason };
    let mut options = File::options();
    let out = options.write(true).create_new(true).mode(0o600).open(path).map_err(unusable)?;
    let written =
        write(&out).and_then(|summary| out.sync_all().map_err(unusable).map(|()| summary));
    if written.is_err() {
        // The error of writing is more useful than one of removing the file.
        let _kept = std::fs::remove_file(path);
    }
    written
}

/// Writes the current state of a store, which may be in use, with the identities of its data
/// folder. After an error the output is incomplete and cannot be loaded.
pub(crate) fn write_dump(
    store: &Store,
    data_dir: &Path,
    out: impl Write,
) -> Result<DumpSummary, DumpError> {
    let broken = |reason| DumpError::File { path: "the dump".into(), reason };
    let reading = store.freeze().map_err(|e| DumpError::Store(e.to_string()))?;
    let chain = reading.chain().map_err(|e| DumpError::Store(e.to_string()))?;
    let head = Head {
        channel: chain.channel.clone(),
        height: chain.height,
        newest_hash: chain.newest_hash.clone(),
    };
    let mut writer = DumpWriter::begin(BufWriter::new(out)).map_err(broken)?;
    writer.part(DumpPart::Head(head)).map_err(broken)?;
    for file in read_tree(&data_dir.join(ORGANIZATIONS_FOLDER))? {
        writer.part(DumpPart::File(file)).map_err(broken)?;
    }
    let copied = reading.copy_to(&mut |piece| {
        writer.part(match piece {
            Piece::Table(name) => DumpPart::Table(name.to_owned()),
            Piece::Entry(key, value) => {
                DumpPart::Entry(DumpEntry { key: key.to_vec(), value: value.to_vec() })
            }
        })
    });
    copied.map_err(|e| DumpError::Store(e.to_string()))?;
    writer.finish().map_err(broken)?;
    Ok(summary(chain))
}

pub(super) fn summary(chain: ChainSummary) -> DumpSummary {
    let ChainSummary { channel, height, newest_hash } = chain;
    DumpSummary { channel, height, newest_hash: hex::encode(newest_hash) }
}
