//! Filters of small lists.

use tempfile::TempDir;

use super::*;

fn sha1_of(password: &str) -> String {
    hex::encode_upper(Sha1::digest(password))
}

/// Returns a sorted list with counts and the line ends of Windows, as it is distributed.
fn list_of(passwords: impl IntoIterator<Item = String>) -> String {
    let mut hashes: Vec<String> = passwords.into_iter().map(|one| sha1_of(&one)).collect();
    hashes.sort();
    hashes.iter().map(|hash| format!("{hash}:37\r\n")).collect()
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn filter(&self) -> PathBuf {
        self.folder.path().join("filter")
    }

    fn build(&self, list: &str) -> Result<BuildReport, BuildError> {
        let path = self.folder.path().join("list");
        std::fs::write(&path, list).unwrap();
        build_password_filter(&path, &self.filter())
    }

    fn open(&self) -> Result<PasswordFilter, FilterError> {
        PasswordFilter::open(&self.filter())
    }
}

/// AUTHN-03: a filter has every password of its list, and next to none of the others.
#[test]
fn a_filter_has_its_list_and_little_else() {
    let listed = |n: u32| format!("leaked password {n}");
    let files = Files::new();
    let report = files.build(&list_of((0..30_000).map(listed))).unwrap();
    assert_eq!(report.hashes, 30_000);
    assert_eq!(report.bytes, std::fs::metadata(files.filter()).unwrap().len());
    let filter = files.open().unwrap();
    for n in 0..30_000 {
        assert!(filter.contains(listed(n).as_bytes()).unwrap(), "{n}");
    }
    let others = (30_000..60_000).map(listed);
    let found = others.filter(|one| filter.contains(one.as_bytes()).unwrap()).count();
    assert!(found < 10, "{found} of 30 000");
}

#[test]
fn a_hash_that_is_listed_twice_counts_once() {
    let (files, hash) = (Files::new(), sha1_of("twice"));
    let list = format!("{hash}\n{}:3\n\n", hash.to_lowercase());
    assert_eq!(files.build(&list).unwrap().hashes, 1);
    let filter = files.open().unwrap();
    assert!(filter.contains(b"twice").unwrap());
    assert!(!filter.contains(b"never").unwrap());
}

#[test]
fn an_empty_list_makes_a_filter_that_has_nothing() {
    let files = Files::new();
    assert_eq!(files.build("").unwrap().hashes, 0);
    assert!(!files.open().unwrap().contains(b"anything").unwrap());
}

/// A list that is no list leaves no file, and the error names its line.
#[test]
fn a_wrong_list_is_refused_by_its_line() {
    let files = Files::new();
    let (low, high) = ("0".repeat(40), "F".repeat(40));
    let message = |list: &str| files.build(list).unwrap_err().to_string();
    assert!(message(&format!("{high}\n{low}\n")).starts_with("line 2 belongs before"));
    for wrong in
        ["123".to_owned(), "g".repeat(40), format!("{low}:x"), format!("{low}0"), "x".repeat(999)]
    {
        let error = message(&format!("{low}\n{wrong}\n"));
        assert!(error.starts_with("line 2 is not a SHA-1"), "{error}");
    }
    let left: Vec<_> = std::fs::read_dir(files.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// A file that is none, or was cut, is refused when it is opened; a damaged part when it is asked.
#[test]
fn a_damaged_file_is_refused() {
    let files = Files::new();
    files.build(&list_of((0..100).map(|n| n.to_string()))).unwrap();
    let whole = std::fs::read(files.filter()).unwrap();
    let with = |content: &[u8]| {
        std::fs::write(files.filter(), content).unwrap();
        files.open()
    };
    assert!(with(&whole).is_ok());
    for damaged in [b"".as_slice(), b"text", &whole[..whole.len() - 1], &whole[1..]] {
        let error = with(damaged).unwrap_err().to_string();
        assert!(error.contains("gx passwords build-filter"), "{error}");
    }
    let mut scrambled = whole;
    scrambled[HEAD_BYTES..].fill(0xff);
    let filter = with(&scrambled).unwrap();
    for n in 0..100 {
        let error = filter.contains(n.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is not a whole password filter"), "{error}");
    }
    std::fs::remove_file(files.filter()).unwrap();
    let error = files.open().unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}
