//! Who runs the server: PostgreSQL refuses root, so root hands it to an unprivileged user.

use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::ClusterError;

/// Users to hand the server to, in order of preference.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
/// Where clusters go when the wanted place cannot be reached by the unprivileged user.
const ELSEWHERE: &str = "/var/lib/gx";

/// The user that runs the server programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever runs this process.
    Myself,
    /// Another one, since this process is root.
    Other { uid: u32, gid: u32 },
}

impl Owner {
    /// The user that must run the cluster in `folder` when this process starts it: for root,
    /// whoever made its data, or else an unprivileged user of the machine.
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

    /// A command that runs as this user, in a process group of its own so that Ctrl-C at the
    /// terminal does not reach it, and with nothing of libpq's in its environment.
    pub(crate) fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().process_group(0);
        command.env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin");
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes `path` this user's.
    pub(crate) fn give(self, path: &Path) -> Result<(), ClusterError> {
        match self {
            Self::Myself => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid))
                .map_err(ClusterError::folder("change the owner of", path)),
        }
    }

    /// The folder to use for `wanted`: itself, or another that `wanted` becomes a link to
    /// where this user cannot get at it (a root home is closed to others).
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

    /// Whether this user may pass through `folder` and all above it.
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

/// A folder that anyone reaches, the same each time for the same wanted one, with a link to it
/// from there.
fn elsewhere(wanted: &Path) -> Result<PathBuf, ClusterError> {
    let digest = Sha256::digest(wanted.as_os_str().as_encoded_bytes());
    let place = Path::new(ELSEWHERE).join(&hex::encode(digest)[..16]);
    match std::fs::read_link(wanted) {
        Ok(target) if target == place => return Ok(place),
        _ => {}
    }
    match std::os::unix::fs::symlink(&place, wanted) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // An empty folder, or one from before its parents were closed, gives way.
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
