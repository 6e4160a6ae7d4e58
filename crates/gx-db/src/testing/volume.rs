//! A file system of a few megabytes, which a test can fill.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::leash::Leash;
use super::new_folder;
use crate::cluster::Owner;

/// Bytes of one write.
const PIECE: usize = 4_096;

/// A mounted volume. It is unmounted when dropped or when the test process ends.
#[derive(Debug)]
pub struct Volume {
    /// The first field, so that the volume is unmounted before its folder is deleted.
    _leash: Leash,
    folder: TempDir,
}

impl Volume {
    /// Mounts a volume.
    ///
    /// # Errors
    /// The output of `mount` if this process may not mount: only root may, and not in every
    /// container.
    pub fn mount(megabytes: u32) -> Result<Self, String> {
        let folder = new_folder();
        let size = format!("size={megabytes}m,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "gx-test"]).arg(folder.path());
        let mounted = mount.output().map_err(|error| error.to_string())?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
        }
        Owner::of(folder.path()).unwrap().give(folder.path()).unwrap();
        let path = folder.path().to_str().unwrap();
        let script = "cat >/dev/null; umount -l \"$1\"";
        let leash = Leash::start(Command::new("/bin/sh"), script, &[path]);
        Ok(Self { _leash: leash, folder })
    }

    /// Returns the folder of the volume.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Fills the volume completely.
    pub fn fill(&self) {
        let mut file = File::create(self.folder.path().join("filler")).unwrap();
        loop {
            match file.write(&[1; PIECE]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("the volume cannot be filled: {error}"),
            }
        }
    }

    /// Frees the space that [`Volume::fill`] took.
    pub fn free(&self) {
        std::fs::remove_file(self.folder.path().join("filler")).unwrap();
    }
}
