//! One process of a measurement: started, spoken to in lines, weighed and ended.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::BenchError;

/// How long a process may take to end once its standard input has.
const ENDING_LIMIT: Duration = Duration::from_secs(20);
/// What Linux counts processor time in, whatever the kernel's own tick.
const MS_PER_TICK: u64 = 10;

/// A running process. It is killed when this is dropped.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ms: u64,
    pub(crate) peak_kib: u64,
}

impl Usage {
    /// What a process and its children have used, those that have ended included. Memory is
    /// left out: most of it is shared.
    pub(crate) fn of_family(pid: u32) -> Result<Self, BenchError> {
        let own = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let mut ticks = cpu_ticks(&own, 4);
        for entry in std::fs::read_dir("/proc")? {
            let stat = entry?.path().join("stat");
            // Most entries are no processes, and some end meanwhile.
            let Ok(stat) = std::fs::read_to_string(stat) else { continue };
            if parent(&stat) == Some(pid) {
                ticks += cpu_ticks(&stat, 2);
            }
        }
        Ok(Self { cpu_ms: ticks * MS_PER_TICK, peak_kib: 0 })
    }
}

impl Part {
    /// Starts this binary with other arguments.
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

    /// The next line as it is.
    pub(crate) async fn line(&mut self) -> Result<String, BenchError> {
        self.answers.next_line().await?.ok_or(BenchError::Ended { part: self.name })
    }

    /// The next line as a value.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self) -> Result<T, BenchError> {
        let line = self.line().await?;
        serde_json::from_str(&line).map_err(|_| BenchError::Babble { part: self.name, line })
    }

    /// Gives an order and hears the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        order: &impl Serialize,
    ) -> Result<T, BenchError> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        self.hear().await
    }

    /// What the process has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        let pid = self.child.id().ok_or(BenchError::Ended { part: self.name })?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Usage { cpu_ms: cpu_ticks(&stat, 2) * MS_PER_TICK, peak_kib: peak_kib(&status) })
    }

    /// Ends the process, by force where it takes too long.
    pub(crate) async fn end(self) -> Result<(), BenchError> {
        let Self { mut child, orders, .. } = self;
        drop(orders);
        if tokio::time::timeout(ENDING_LIMIT, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}

/// Time in user and kernel mode: two counters; with those of children that were waited for,
/// four.
fn cpu_ticks(stat: &str, counters: usize) -> u64 {
    after_name(stat)
        .split(' ')
        .skip(11)
        .take(counters)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum()
}

fn parent(stat: &str) -> Option<u32> {
    after_name(stat).split(' ').nth(1)?.parse().ok()
}

/// The name in front may hold anything, even spaces.
fn after_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, rest)| rest)
}

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
