//! The user that runs the server. PostgreSQL cannot run as root, so root uses an unprivileged user.
//! Asked whenever a cluster is started or deleted.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::ClusterError;

/// Unprivileged users, in order of preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
/// Folder of clusters whose own folder the unprivileged user cannot reach.
const REACHABLE_FOLDER: &str = "/var/lib/gx";

/// The user that runs the server programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The user of this process.
    Myself,
    /// Another user, because this process is root.
    Other { uid: u32, gid: u32 },
}

impl Owner {
    /// Returns the user that must run the cluster in `folder`: for root, the owner of its data, or
    /// an unprivileged user of the machine.
    pub(crate) fn of(folder: &Path) -> Result<Self, ClusterError> {
        let proc = Path::new("/proc/self");
        let me = proc.metadata().map_err(ClusterError::folder("look at", proc))?.uid();
        if me != 0 {
            return Ok(Self::Myself);
        }
        if let Ok(data) = folder.join("data").metadata()
            && data.uid() != 0
        {
            return Ok(Self::Other { uid: data.uid(), gid: data.gid() });
        }
        let file = Path::new("/etc/passwd");
        let users = std::fs::read_to_string(file).map_err(ClusterError::folder("read", file))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| find_user(&users, name))
            .ok_or(ClusterError::NoUnprivilegedUser)
    }

    /// Returns a command that runs as this user, without libpq's environment, and in its own
    /// process group so that Ctrl-C at the terminal does not reach it.
    pub(crate) fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().process_group(0);
        command.env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin");
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes this user the owner of `path`.
    pub(crate) fn give(self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Myself => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid))
                .map_err(ClusterError::folder("change the owner of", path)),
        }
    }

    /// Returns the folder for `wanted`: the folder itself, or another one to which `wanted` becomes
    /// a link if this user cannot reach it, such as in root's home.
    pub(crate) fn place(self, wanted: &Path) -> Result<PathBuf, ClusterError> {
        if let Ok(existing) = wanted.canonicalize()
            && self.reaches(&existing).map_err(ClusterError::folder("look at", &existing))?
        {
            return Ok(existing);
        }
        let parent =
            wanted.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(ClusterError::folder("create", parent))?;
        let parent = parent.canonicalize().map_err(ClusterError::folder("look at", parent))?;
        let wanted = parent.join(wanted.file_name().unwrap_or_default());
        let place = if self.reaches(&parent).map_err(ClusterError::folder("look at", &parent))? {
            wanted
        } else {
            elsewhere(&wanted)?
        };
        std::fs::create_dir_all(&place).map_err(ClusterError::folder("create", &place))?;
        Ok(place)
    }

    /// Returns whether this user can reach `folder`.
    fn reaches(self, folder: &Path) -> io::Result<bool> {
        let Self::Other { uid, gid } = self else { return Ok(true) };
        for ancestor in folder.ancestors() {
            let found = ancestor.metadata()?;
            let bit = match () {
                () if found.uid() == uid => 0o100,
                () if found.gid() == gid => 0o010,
                () => 0o001,
            };
            if found.mode() & bit == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Returns a folder that every user can reach, always the same for the same `wanted`, and makes
/// `wanted` a link to it.
fn elsewhere(wanted: &Path) -> Result<PathBuf, ClusterError> {
    let digest = Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let place = Path::new(REACHABLE_FOLDER).join(&hex::encode(digest)[..16]);
    match std::fs::read_link(wanted) {
        Ok(target) if target == place => return Ok(place),
        _ => {}
    }
    match std::os::unix::fs::symlink(&place, wanted) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // An existing folder is replaced if it is empty.
            std::fs::remove_dir(wanted).map_err(ClusterError::folder("replace", wanted))?;
            std::os::unix::fs::symlink(&place, wanted)
                .map_err(ClusterError::folder("link", wanted))?;
        }
        other => other.map_err(ClusterError::folder("link", wanted))?,
    }
    Ok(place)
}

fn find_user(passwd: &str, name: &str) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Owner::Other { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_exact_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:7:7::/:\npostgres:x:101:104:,,,:/:\n";
        assert_eq!(find_user(passwd, "postgres"), Some(Owner::Other { uid: 101, gid: 104 }));
        assert_eq!(find_user(passwd, "nobody"), None);
    }
}
