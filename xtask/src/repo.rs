//! Reads the files of the repository, for all checks. A file that cannot be read is an error and
//! ends the check.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Folders at any depth without source of this repository: version control, build output, data of
/// development stacks, installed packages.
const SKIPPED_FOLDERS: [&str; 4] = [".git", "target", ".gx", "node_modules"];

/// File that cargo writes into each build folder, whatever the name of the folder is.
const BUILD_FOLDER_MARK: &str = "CACHEDIR.TAG";

/// The checked-out repository.
pub(crate) struct Repo {
    root: PathBuf,
}

/// A text file of the repository.
pub(crate) struct TextFile {
    /// Path from the root of the repository, with `/` between folders.
    pub(crate) path: String,
    /// Content of the file.
    pub(crate) text: String,
}

impl TextFile {
    /// Returns whether the file is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

impl Repo {
    /// Returns the repository that this crate was built from.
    pub(crate) fn of_this_crate() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the folder of this crate is in that of the workspace");
        Self { root: root.to_owned() }
    }

    /// Returns the absolute path of a file.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Reads a file.
    pub(crate) fn read(&self, relative: &str) -> Result<String, Error> {
        let path = self.path(relative);
        fs::read_to_string(&path).map_err(Error::file(&path))
    }

    /// Returns all text files in the order of their paths. Files that are not UTF-8 are left out.
    pub(crate) fn text_files(&self) -> Result<Vec<TextFile>, Error> {
        let mut files = Vec::new();
        self.collect(&self.root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Returns all Rust files.
    pub(crate) fn rust_files(&self) -> Result<Vec<TextFile>, Error> {
        let mut files = self.text_files()?;
        files.retain(TextFile::is_rust);
        Ok(files)
    }

    fn collect(&self, folder: &Path, files: &mut Vec<TextFile>) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
            let entry = entry.map_err(Error::file(folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::file(&path))?;
            if kind.is_dir() {
                if !is_skipped(&path) {
                    self.collect(&path, files)?;
                }
            } else if kind.is_file() && entry.file_name() != ".env" {
                let bytes = fs::read(&path).map_err(Error::file(&path))?;
                if let Ok(text) = String::from_utf8(bytes) {
                    files.push(TextFile { path: self.relative(&path), text });
                }
            }
        }
        Ok(())
    }

    fn relative(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).expect("the walk starts at the root");
        inside.to_string_lossy().replace('\\', "/")
    }
}

fn is_skipped(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped)
        || folder.join(BUILD_FOLDER_MARK).exists()
}
