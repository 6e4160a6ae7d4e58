//! Finds the PostgreSQL server programs when a cluster is opened.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ClusterError, MIN_MAJOR};

/// Folders of distributions that contain one folder per major version, and the path below it.
const VERSIONED: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];

/// An installation of the server programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// Returns the installation of `major` if the data needs one, and the newest otherwise. The
    /// error says what to install.
    pub(super) fn find(major: Option<u32>, data: &Path) -> Result<Self, ClusterError> {
        let mut all = installed();
        all.retain(|found| found.major >= MIN_MAJOR);
        match major {
            None => all.into_iter().next().ok_or(ClusterError::NoBinaries),
            Some(_) if all.is_empty() => Err(ClusterError::NoBinaries),
            Some(major) => all
                .into_iter()
                .find(|found| found.major == major)
                .ok_or_else(|| ClusterError::OtherMajor { data: data.to_owned(), major }),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Returns all installations: only the one of GX_PG_BINDIR if that is set, and otherwise those of
/// the distribution, newest first, then those on the PATH.
#[expect(clippy::disallowed_methods, reason = "where programs lie is the machine's affair")]
fn installed() -> Vec<Binaries> {
    if let Some(folder) = std::env::var_os("GX_PG_BINDIR").filter(|value| !value.is_empty()) {
        return probe(Path::new(&folder)).into_iter().collect();
    }
    let mut found: Vec<Binaries> = VERSIONED
        .iter()
        .flat_map(|(root, below)| {
            let folders = std::fs::read_dir(root).into_iter().flatten().flatten();
            folders
                .filter(|entry| names_a_version(&entry.file_name()))
                .map(move |e| e.path().join(below))
        })
        .filter_map(|folder| probe(&folder))
        .collect();
    found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).filter_map(|folder| probe(&folder)));
    found
}

fn names_a_version(folder: &OsStr) -> bool {
    let name = folder.to_string_lossy();
    name.strip_prefix("pgsql-").unwrap_or(&name).parse::<u32>().is_ok()
}

/// Returns the installation in `folder`, or `None` if a program is missing or does not tell its
/// version.
fn probe(folder: &Path) -> Option<Binaries> {
    // Links are followed, because `initdb` looks for `postgres` next to its real path.
    let initdb = folder.join("initdb").canonicalize().ok()?;
    let folder = initdb.parent()?.to_owned();
    if !["pg_ctl", "postgres"].iter().all(|name| folder.join(name).exists()) {
        return None;
    }
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { folder, major })
}

/// Returns the major version, 15 for `postgres (PostgreSQL) 15.13 (Debian …)`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split("(PostgreSQL) ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("postgres: not found"), None);
    }

    #[test]
    fn data_of_a_version_that_is_not_installed_is_refused_with_what_to_install() {
        let error = Binaries::find(Some(9_999), Path::new("/somewhere/data")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("postgresql-9999") && text.contains("--fresh"), "{text}");
    }
}
