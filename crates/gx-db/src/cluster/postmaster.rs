//! Reads `postmaster.pid` and checks that it is still true, before a server is adopted, started or
//! stopped.

use std::path::{Path, PathBuf};

/// A running postmaster of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: u32,
    pub(crate) port: u16,
}

/// Returns the running postmaster of `data`, or `None` if none runs. Removes the file of one that
/// died, because its process id may belong to another process by now, which PostgreSQL would take
/// for the old server.
pub(super) fn surviving(data: &Path) -> std::io::Result<Option<Postmaster>> {
    let file = data.join("postmaster.pid");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = text.lines();
    let pid: Option<u32> = lines.next().and_then(|line| line.trim().parse().ok());
    let port: Option<u16> = lines.nth(2).and_then(|line| line.trim().parse().ok());
    match (pid, port) {
        (Some(pid), port) if serves(pid, data) => {
            Ok(Some(Postmaster { pid, port: port.unwrap_or(0) }))
        }
        _ => {
            std::fs::remove_file(&file)?;
            Ok(None)
        }
    }
}

/// Returns whether process `pid` is a server of `data`: the working directory of a postmaster is
/// its data directory. Without /proc the file is believed.
fn serves(pid: u32, data: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if !Path::new("/proc/self").exists() {
        return true;
    }
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    let at_work_in = std::fs::read_link(process.join("cwd")).ok();
    name.trim() == "postgres" && at_work_in == data.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_whose_pid_belongs_to_another_program_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("postmaster.pid");
        std::fs::write(&file, format!("{}\n/x\n0\n5432\n", std::process::id())).unwrap();
        assert_eq!(surviving(data.path()).unwrap(), None);
        assert!(!file.exists());
    }
}
