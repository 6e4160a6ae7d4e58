//! Writes a ledger to a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::files::read_tree;
use super::format::{DumpWriter, Entry, Head, Part};
use super::{DumpError, DumpSummary};
use crate::devnet::LEDGER_FILE;
use crate::ledger::{Chain, Piece, Store};
use crate::msp::ORGANIZATIONS_FOLDER;

/// Writes the ledger in a folder, which no process may have open, to a new file.
///
/// # Errors
/// Says what is in the way.
pub fn dump(data_dir: &Path, file: &Path) -> Result<DumpSummary, DumpError> {
    let ledger = data_dir.join(LEDGER_FILE);
    if !ledger.exists() {
        return Err(DumpError::NoLedger { path: data_dir.to_owned() });
    }
    let store = Store::open(&ledger, true)?;
    write_new_file(file, |out| write_dump(&store, data_dir, out))
}

/// Lets `write` fill a file that others cannot read, for it holds keys. A file that was not
/// completed is not left behind.
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
        // The reason why it is not whole is the one to tell.
        let _kept = std::fs::remove_file(path);
    }
    written
}

/// Writes one moment of a store that may be in use, with the identities of its data folder.
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
    writer.part(Part::Head(head)).map_err(broken)?;
    for file in read_tree(&data_dir.join(ORGANIZATIONS_FOLDER))? {
        writer.part(Part::File(file)).map_err(broken)?;
    }
    let copied = reading.copy_to(&mut |piece| {
        writer.part(match piece {
            Piece::Table(name) => Part::Table(name.to_owned()),
            Piece::Entry(key, value) => {
                Part::Entry(Entry { key: key.to_vec(), value: value.to_vec() })
            }
        })
    });
    copied.map_err(|e| DumpError::Store(e.to_string()))?;
    writer.finish().map_err(broken)?;
    Ok(summary(chain))
}

pub(super) fn summary(chain: Chain) -> DumpSummary {
    let Chain { channel, height, newest_hash } = chain;
    DumpSummary { channel, height, newest_hash: hex::encode(newest_hash) }
}
