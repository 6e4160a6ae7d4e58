//! Makes a ledger from a dump. Called by `gx devnet load`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

use super::files::write_file;
use super::format::{CHECKSUM_BYTES, DumpPart, checksum_holds, read_magic, read_part};
use super::write::summary;
use super::{DumpError, DumpSummary};
use crate::ledger::{LEDGER_FILE, OwnedPiece, Store};
use crate::msp::ORGANIZATIONS_FOLDER;

/// Makes a ledger in a folder that has none. It continues after the newest block of the dump, with
/// the same identities. The chain is checked before any file is put in its place.
///
/// # Errors
/// [`DumpError`] says what prevents loading, or what is wrong with the dump.
pub fn load(file: &Path, data_dir: &Path) -> Result<DumpSummary, DumpError> {
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |reason| DumpError::File { path, reason }
    };
    let organizations = data_dir.join(ORGANIZATIONS_FOLDER);
    let ledger = data_dir.join(LEDGER_FILE);
    for path in [&organizations, &ledger] {
        if path.exists() {
            return Err(DumpError::Occupied { path: path.clone() });
        }
    }
    let input = open_checked(file)?;
    let aside = data_dir.join("loading");
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(unusable(&aside))?;
    }
    std::fs::create_dir_all(&aside).map_err(unusable(&aside))?;
    let loaded = load_into(input, &aside)?;
    // The ledger is moved last. If loading is interrupted before, a start creates a new ledger and
    // uses these identities.
    let (new_organizations, new_ledger) =
        (aside.join(ORGANIZATIONS_FOLDER), aside.join(LEDGER_FILE));
    std::fs::rename(new_organizations, &organizations).map_err(unusable(&organizations))?;
    std::fs::rename(new_ledger, &ledger).map_err(unusable(&ledger))?;
    std::fs::remove_dir(&aside).map_err(unusable(&aside))?;
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(unusable(data_dir))?;
    Ok(loaded)
}

/// Checks the checksum of a file and returns its records, so that nothing is made from a damaged
/// dump.
fn open_checked(path: &Path) -> Result<impl BufRead, DumpError> {
    let unusable = |reason| DumpError::File { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(unusable)?;
    let bytes = file.metadata().map_err(unusable)?.len();
    read_magic(&mut file).map_err(DumpError::Damaged)?;
    file.rewind().map_err(unusable)?;
    if !checksum_holds(&mut file, bytes).map_err(unusable)? {
        return Err(DumpError::Damaged("it is damaged or cut short".to_owned()));
    }
    file.rewind().map_err(unusable)?;
    let mut records = BufReader::new(file.take(bytes - CHECKSUM_BYTES as u64));
    read_magic(&mut records).map_err(DumpError::Damaged)?;
    Ok(records)
}

/// Fills a folder with the identities and the ledger of a dump, and checks the chain.
fn load_into(mut input: impl BufRead, folder: &Path) -> Result<DumpSummary, DumpError> {
    let mut first_table = None;
    let mut head = None;
    loop {
        match read_part(&mut input).map_err(DumpError::Damaged)? {
            Some(DumpPart::Head(read)) => head = Some(read),
            Some(DumpPart::File(file)) => write_file(&folder.join(ORGANIZATIONS_FOLDER), &file)?,
            Some(DumpPart::Table(name)) => {
                first_table = Some(OwnedPiece::Table(name));
                break;
            }
            Some(DumpPart::Entry(_)) | None => break,
        }
    }
    let store = Store::open(&folder.join(LEDGER_FILE), true)?;
    let filled = store.fill(&mut || match first_table.take() {
        Some(first) => Ok(Some(first)),
        None => match read_part(&mut input)? {
            Some(DumpPart::Table(name)) => Ok(Some(OwnedPiece::Table(name))),
            Some(DumpPart::Entry(entry)) => Ok(Some(OwnedPiece::Entry(entry.key, entry.value))),
            Some(DumpPart::Head(_) | DumpPart::File(_)) => Err("its records are unordered".into()),
            None => Ok(None),
        },
    });
    filled.map_err(|e| DumpError::Damaged(e.to_string()))?;
    let chain = store.freeze().and_then(|frozen| frozen.chain());
    let chain = chain.map_err(|e| DumpError::Damaged(e.to_string()))?;
    let promised = head.is_some_and(|head| {
        (head.channel, head.height, head.newest_hash)
            == (chain.channel.clone(), chain.height, chain.newest_hash.clone())
    });
    if !promised {
        return Err(DumpError::Damaged("its chain differs from its summary".to_owned()));
    }
    Ok(summary(chain))
}
