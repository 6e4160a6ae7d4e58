//! Commands that end with the test process, however it ends.

use std::process::{Child, Command, Stdio};

/// A shell that reads from a pipe until this process closes it or dies, and then cleans up.
#[derive(Debug)]
pub struct Leash(Child);

impl Leash {
    /// Runs the script, which waits with `cat`.
    pub fn start(mut shell: Command, script: &str, args: &[&str]) -> Self {
        shell.arg("-c").arg(script).arg("leash").args(args);
        shell.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(shell.spawn().expect("there is a shell"))
    }

    /// Returns whether the shell still runs.
    pub fn holds(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // The shell ends at once.
        self.0.wait().ok();
    }
}
