//! The lines of standard input, by which a process is told what to do and when to end.

use std::io::BufRead;
use std::thread;

use tokio::sync::mpsc;

/// Lines that may wait; the orchestrator sends one and waits for the answer.
const WAITING_LINES: usize = 1;

/// The lines as they come; none once there is no more input. They are read on a thread of
/// their own, which must not keep the process from ending.
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
