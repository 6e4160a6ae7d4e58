//! Waits until a condition holds, for a limited time. Called by tests and the simulation, which
//! never sleep for a fixed time.

use std::time::Duration;

/// Pause between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `look` returns a value, and returns it.
///
/// # Panics
/// If `look` returns nothing within `bound`; the message has `what`.
pub async fn eventually<T, F>(what: &str, bound: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    match tokio::time::timeout(bound, search).await {
        Ok(found) => found,
        Err(_) => panic!("waited {bound:?} in vain: {what}"),
    }
}
