//! A child process of a measurement: starts it, exchanges lines with it, measures and ends it. The
//! rows and `environment` start servers, workers and load generators with it; a process that ends
//! early ends the row.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::BenchError;

/// Time limit for a process to end after its standard input has ended.
const ENDING_LIMIT: Duration = Duration::from_secs(20);
/// The unit of processor time in /proc, whatever the kernel's own tick is.
const MS_PER_TICK: u64 = 10;

/// A running child process. Dropping it kills the process.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// The resources that a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ms: u64,
    pub(crate) peak_kib: u64,
}

impl Usage {
    /// Returns the processor time of a process and its children, including those that have ended.
    /// Memory is left out, because most of it is shared.
    pub(crate) fn of_family(pid: u32) -> Result<Self, BenchError> {
        let own = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let mut ticks = cpu_ticks(&own, 4);
        for entry in std::fs::read_dir("/proc")? {
            let stat = entry?.path().join("stat");
            // Most entries are not processes, and some processes end meanwhile.
            let Ok(stat) = std::fs::read_to_string(stat) else { continue };
            if parent(&stat) == Some(pid) {
                ticks += cpu_ticks(&stat, 2);
            }
        }
        Ok(Self { cpu_ms: ticks * MS_PER_TICK, peak_kib: 0 })
    }
}

impl Process {
    /// Starts this binary with the given arguments.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: &'static str,
        arguments: &[A],
    ) -> Result<Self, BenchError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let ended = || BenchError::Ended { part: name };
        let orders = child.stdin.take().ok_or_else(ended)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(ended)?).lines();
        Ok(Self { name, child, orders, answers })
    }

    /// Returns the next line. Fails with [`BenchError::Ended`] if the process has ended.
    pub(crate) async fn line(&mut self) -> Result<String, BenchError> {
        self.answers.next_line().await?.ok_or(BenchError::Ended { part: self.name })
    }

    /// Returns the next line as a value. Fails with [`BenchError::Unexpected`] for another line.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, BenchError> {
        let line = self.line().await?;
        serde_json::from_str(&line).map_err(|_| BenchError::Unexpected { part: self.name, line })
    }

    /// Sends an order and returns the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        order: &impl Serialize,
    ) -> Result<T, BenchError> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        self.receive().await
    }

    /// Returns the resources that the process has used.
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        let pid = self.child.id().ok_or(BenchError::Ended { part: self.name })?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage { cpu_ms: cpu_ticks(&stat, 2) * MS_PER_TICK, peak_kib: peak_kib(&status) })
    }

    /// Ends the process; kills it after the time limit.
    pub(crate) async fn end(self) -> Result<(), BenchError> {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        if tokio::time::timeout(ENDING_LIMIT, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}

/// Returns the processor time in user and kernel mode: of the process with two counters, and with
/// four also of its children that have ended.
fn cpu_ticks(stat: &str, counters: usize) -> u64 {
    after_name(stat)
        .split(' ')
        .skip(11)
        .take(counters)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

/// Returns the process that started this one, or `None` if the text is malformed.
fn parent(stat: &str) -> Option<u32> {
    after_name(stat).split(' ').nth(1)?.parse().ok()
}

/// Returns the fields after the name, which may contain anything, even spaces.
fn after_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, rest)| rest)
}

/// Returns the peak memory, or 0 if the text does not have it.
fn peak_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{cpu_ticks, parent, peak_kib};

    #[test]
    fn usage_is_read_as_the_kernel_writes_it() {
        let stat = "77 (gx ) bench) S 1 77 77 0 -1 4194560 9 0 0 0 120 35 3 1 20 0 3 0";
        assert_eq!((cpu_ticks(stat, 2), cpu_ticks(stat, 4), parent(stat)), (155, 159, Some(1)));
        assert_eq!(peak_kib("Name:\tgx\nVmHWM:\t  204800 kB\n"), 204_800);
    }
}
