//! The limits that all processes share, in Redis. While Redis does not answer, requests do not wait
//! for it: one of them asks again from time to time, and the others are limited by their process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{RedisResult, Script, ScriptInvocation};
use tokio::time::{Instant, timeout};

use super::policy::LimitPolicy;
use super::settings::{Quota, RedisServer};
use super::verdict::{LimitKey, Verdict};

/// Time after which Redis is asked again that did not answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Questions that are sent to Redis before the next one waits.
const MAX_QUESTIONS_AT_ONCE: usize = 1_024;
/// Start of the keys in Redis.
const KEY_PREFIX: &str = "gx:limit";
/// Window in microseconds of the key of health checks, and the checks in it: as many as there are
/// milliseconds, so that each check is admitted, which writes, and its key is gone after one.
const HEALTH_WINDOW_US: u64 = 1_000_000;
const HEALTH_CHECKS: u32 = 1_000;

/// The limits in Redis.
pub(super) struct SharedLimits {
    server: RedisServer,
    script: Script,
    time_limit: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Number of the newest connection.
    connections: u64,
    outage: Option<Outage>,
}

/// A connection that opens itself again, with its number.
#[derive(Clone)]
struct Connection {
    number: u64,
    manager: ConnectionManager,
}

struct Outage {
    reason: String,
    ask_again_at: Instant,
}

/// Why Redis gave no answer.
enum Failure {
    Refused(redis::RedisError),
    TooLate,
}

impl SharedLimits {
    pub(super) fn new(server: RedisServer, time_limit: Duration) -> Self {
        let script = Script::new(include_str!("gcra.lua"));
        metrics::gauge!("gx_redis_usable").set(f64::NAN);
        Self { server, script, time_limit, state: Mutex::default() }
    }

    /// Counts a request in Redis. Returns `None` if Redis does not answer in time, and without
    /// asking if it did not a moment ago.
    pub(super) async fn admit(
        &self,
        policy: LimitPolicy,
        key: LimitKey,
        quota: Quota,
    ) -> Option<Verdict> {
        let mut call = self.script.key(format!("{KEY_PREFIX}:{}:{key}", policy.name()));
        call.arg(as_micros(quota.window)).arg(quota.requests.get());
        let connection = self.connection_to_ask()?;
        let (admitted, wait_us, free_us) = self.ask(connection, &call).await?;
        let free_after = Duration::from_micros(free_us);
        Some(Verdict {
            is_admitted: admitted == 1,
            remaining: if admitted == 1 { remaining(quota, free_after) } else { 0 },
            retry_after: Duration::from_micros(wait_us),
            free_after,
        })
    }

    /// Counts the check itself in Redis, whenever the last question was: a server that answers may
    /// still refuse to count, such as a replica or one without memory. Returns the reason if it
    /// fails.
    pub(super) async fn check(&self) -> Result<(), String> {
        let mut call = self.script.key(format!("{KEY_PREFIX}:health"));
        call.arg(HEALTH_WINDOW_US).arg(HEALTH_CHECKS);
        let connection = match self.connection(&mut self.state()) {
            Ok(connection) => connection,
            Err(error) => return Err(error.to_string()),
        };
        let _answer = self.ask(connection, &call).await;
        match &self.state().outage {
            Some(outage) => Err(outage.reason.clone()),
            None => Ok(()),
        }
    }

    async fn ask(
        &self,
        mut connection: Connection,
        call: &ScriptInvocation<'_>,
    ) -> Option<(u16, u64, u64)> {
        let asked = call.invoke_async(&mut connection.manager);
        let answer = timeout(self.time_limit, asked).await;
        self.answered(connection.number, flattened(answer))
    }

    /// Returns the connection if Redis may be asked now. During an outage one request in each
    /// [`RETRY_INTERVAL`] may.
    fn connection_to_ask(&self) -> Option<Connection> {
        let mut state = self.state();
        if let Some(outage) = &mut state.outage {
            let now = Instant::now();
            if now < outage.ask_again_at {
                return None;
            }
            outage.ask_again_at = now + RETRY_INTERVAL;
        }
        self.connection(&mut state).ok()
    }

    /// Returns the connection, which opens with the first question.
    fn connection(&self, state: &mut State) -> RedisResult<Connection> {
        if let Some(connection) = &state.connection {
            return Ok(connection.clone());
        }
        // A failed try is repeated by the next question, not within this one.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_pipeline_buffer_size(MAX_QUESTIONS_AT_ONCE)
            .set_connection_timeout(Some(self.time_limit))
            .set_response_timeout(Some(self.time_limit));
        let manager = ConnectionManager::new_lazy_with_config(self.server.0.clone(), config)?;
        state.connections += 1;
        let connection = Connection { number: state.connections, manager };
        state.connection = Some(connection.clone());
        Ok(connection)
    }

    /// Records whether Redis has answered, and returns the answer.
    fn answered<T>(&self, connection: u64, answer: Result<T, Failure>) -> Option<T> {
        let mut state = self.state();
        let failure = match answer {
            Ok(answer) => {
                if state.outage.take().is_some() {
                    tracing::info!("Redis answers again; processes share their limits");
                }
                metrics::gauge!("gx_redis_usable").set(1.0);
                return Some(answer);
            }
            Err(failure) => failure,
        };
        // The next question opens another one. This may be one of a host that is gone, of a server
        // that has become a replica, or one whose user was refused: nothing would ever end it.
        if state.connection.as_ref().is_some_and(|known| known.number == connection) {
            state.connection = None;
        }
        let reason = match failure {
            Failure::Refused(error) => error.to_string(),
            Failure::TooLate => format!("no answer within {} ms", self.time_limit.as_millis()),
        };
        metrics::counter!("gx_redis_failures_total").increment(1);
        metrics::gauge!("gx_redis_usable").set(0.0);
        let ask_again_at = Instant::now() + RETRY_INTERVAL;
        if state.outage.is_none() {
            tracing::warn!(
                error = reason,
                "Redis does not answer; each process limits requests alone"
            );
        }
        state.outage = Some(Outage { reason, ask_again_at });
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flattened<T>(asked: Result<RedisResult<T>, tokio::time::error::Elapsed>) -> Result<T, Failure> {
    match asked {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.is_timeout() => Err(Failure::TooLate),
        Ok(Err(error)) => Err(Failure::Refused(error)),
        Err(_) => Err(Failure::TooLate),
    }
}

/// Returns the requests that a quota would admit at once.
fn remaining(quota: Quota, free_after: Duration) -> u32 {
    let left = quota.window.saturating_sub(free_after).as_micros();
    let interval = quota.interval().as_micros().max(1);
    u32::try_from(left / interval).unwrap_or(u32::MAX).min(quota.requests.get())
}

fn as_micros(window: Duration) -> u64 {
    u64::try_from(window.as_micros()).unwrap_or(u64::MAX)
}
