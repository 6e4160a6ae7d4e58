//! The lines of standard input, which tell a process what to do and when to end. Read by servers,
//! workers and load generators; the orchestrator writes them.

use std::io::BufRead;
use std::thread;

use tokio::sync::mpsc;

/// Limit of lines that wait; the orchestrator sends one and waits for the answer.
const WAITING_LINES: usize = 1;

/// Returns the channel of the lines, which closes at the end of input. A separate thread reads
/// them, which does not keep the process from ending.
pub(crate) fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
