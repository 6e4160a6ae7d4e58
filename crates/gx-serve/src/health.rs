//! What a process says about itself: its checks, and whether its loops still turn.
//!
//! A check is *critical* when nothing useful can be served without it. A critical check that
//! is not healthy makes the process `not_ready`; any other makes it `degraded`, and it keeps
//! serving (G8).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use gx_model::Clock;
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::build_info::BUILD;
use crate::telemetry;

/// How long a probe may take before its check is `unknown`.
const PROBE_TIME_LIMIT: Duration = Duration::from_secs(2);

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    status: CheckStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

/// The three answers of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Healthy,
    /// Found to be wrong.
    Unhealthy,
    /// Could not be found out.
    Unknown,
}

impl Verdict {
    /// As it should be.
    pub fn healthy() -> Self {
        Self { status: CheckStatus::Healthy, message: None, value: None }
    }

    /// Found to be wrong.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self { status: CheckStatus::Unhealthy, message: Some(message.into()), value: None }
    }

    /// Could not be found out.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { status: CheckStatus::Unknown, message: Some(message.into()), value: None }
    }

    /// Adds what was measured.
    #[must_use]
    pub fn with_value(mut self, value: Value) -> Self {
        self.value = Some(value);
        self
    }

    /// Adds a remark, for a check that is healthy and still worth a word.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// The answer.
    pub fn status(&self) -> CheckStatus {
        self.status
    }
}

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Verdict> + Send + Sync>;

#[derive(Clone)]
enum Source {
    Reported(Arc<Mutex<Verdict>>),
    Probe(Probe),
}

#[derive(Clone)]
struct Check {
    name: &'static str,
    critical: bool,
    source: Source,
}

struct HeartState {
    name: &'static str,
    deadline: Duration,
    last_beat: OffsetDateTime,
}

struct Board {
    service: &'static str,
    clock: Clock,
    draining: AtomicBool,
    schema: Mutex<Option<String>>,
    checks: Mutex<Vec<Check>>,
    hearts: Mutex<Vec<Arc<Mutex<HeartState>>>>,
}

/// The checks and hearts of one process. Clones share them.
#[derive(Clone)]
pub struct HealthBoard(Arc<Board>);

/// Where a component reports the state of one check.
#[derive(Clone)]
pub struct CheckHandle(Arc<Mutex<Verdict>>);

impl CheckHandle {
    /// Sets what the check says from now on.
    pub fn set(&self, verdict: Verdict) {
        *self.0.lock().expect("no holder of this lock can panic") = verdict;
    }

    /// As it should be.
    pub fn healthy(&self) {
        self.set(Verdict::healthy());
    }

    /// Found to be wrong, with what was measured.
    pub fn unhealthy(&self, message: impl Into<String>, value: Value) {
        self.set(Verdict::unhealthy(message).with_value(value));
    }

    /// Could not be found out.
    pub fn unknown(&self, message: impl Into<String>) {
        self.set(Verdict::unknown(message));
    }
}

/// A loop's sign of life. A loop that does not beat within its deadline makes `/livez` fail.
pub struct Heart {
    state: Arc<Mutex<HeartState>>,
    board: HealthBoard,
}

impl Heart {
    /// Says that the loop turns.
    pub fn beat(&self) {
        let now = self.board.0.clock.now();
        self.state.lock().expect("no holder of this lock can panic").last_beat = now;
    }
}

/// A loop that has ended on purpose is not stuck.
impl Drop for Heart {
    fn drop(&mut self) {
        let mut hearts = self.board.0.hearts.lock().expect("no holder of this lock can panic");
        hearts.retain(|state| !Arc::ptr_eq(state, &self.state));
    }
}

/// Whether the process can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// Everything is as it should be.
    Ready,
    /// Serving, and something that serving does not need is wrong.
    Degraded,
    /// Not serving.
    NotReady,
}

/// The answer of `/health` and `/readyz`.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthReport {
    /// The sum of the checks.
    pub status: Readiness,
    /// The role's name.
    pub service: &'static str,
    /// Version of the build.
    pub version: &'static str,
    /// Commit of the build.
    pub commit: &'static str,
    /// The database schema's version, `null` until it is known.
    #[schema(required)]
    pub schema: Option<String>,
    /// When this was found out.
    #[serde(with = "crate::moment")]
    pub timestamp: OffsetDateTime,
    /// Each check by its name: `{status, critical, message?, value?}`.
    #[schema(value_type = Object)]
    pub checks: Map<String, Value>,
}

/// The answer of `/livez`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LifeReport {
    /// `alive` or `stuck`.
    pub status: &'static str,
    /// The role's name.
    pub service: &'static str,
    /// Loops that have not turned within their deadline.
    pub stuck: Vec<String>,
}

impl HealthBoard {
    /// An empty board: ready and alive. Installs the process's metrics recorder, so that
    /// nothing is counted before there is one.
    pub fn new(service: &'static str, clock: Clock) -> Self {
        let _installed = telemetry::metrics();
        Self(Arc::new(Board {
            service,
            clock,
            draining: AtomicBool::new(false),
            schema: Mutex::default(),
            checks: Mutex::default(),
            hearts: Mutex::default(),
        }))
    }

    /// The role's name.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Adds a check that a component reports. Until it does, the check is `unknown`.
    pub fn check(&self, name: &'static str, critical: bool) -> CheckHandle {
        let verdict = Arc::new(Mutex::new(Verdict::unknown("not checked yet")));
        self.add(name, critical, Source::Reported(Arc::clone(&verdict)));
        CheckHandle(verdict)
    }

    /// Adds a check that is made whenever somebody asks.
    pub fn probe<F>(&self, name: &'static str, critical: bool, probe: F)
    where
        F: Fn() -> BoxFuture<'static, Verdict> + Send + Sync + 'static,
    {
        self.add(name, critical, Source::Probe(Arc::new(probe)));
    }

    fn add(&self, name: &'static str, critical: bool, source: Source) {
        let mut checks = self.0.checks.lock().expect("no holder of this lock can panic");
        checks.retain(|check| check.name != name);
        checks.push(Check { name, critical, source });
    }

    /// Adds a loop that promises to beat at least this often.
    pub fn heart(&self, name: &'static str, deadline: Duration) -> Heart {
        let state = HeartState { name, deadline, last_beat: self.0.clock.now() };
        let state = Arc::new(Mutex::new(state));
        self.0.hearts.lock().expect("no holder of this lock can panic").push(Arc::clone(&state));
        Heart { state, board: self.clone() }
    }

    /// Names the database schema that is in use.
    pub fn set_schema(&self, schema: impl Into<String>) {
        *self.0.schema.lock().expect("no holder of this lock can panic") = Some(schema.into());
    }

    /// From here on the process is not ready: it is about to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Makes every check and sums them up. Also sets the gauges `gx_health_check` (1 healthy,
    /// 0 unhealthy, -1 unknown) and `gx_ready`.
    pub async fn report(&self) -> HealthReport {
        let checks = self.0.checks.lock().expect("no holder of this lock can panic").clone();
        let verdicts = join_all(checks.iter().map(verdict)).await;
        let mut status = Readiness::Ready;
        let mut by_name = Map::new();
        for (check, verdict) in checks.iter().zip(verdicts) {
            if verdict.status != CheckStatus::Healthy {
                let worse = if check.critical { Readiness::NotReady } else { Readiness::Degraded };
                status = worst(status, worse);
            }
            self.gauge(check.name, verdict.status);
            let mut json = serde_json::to_value(&verdict).expect("a verdict has only text keys");
            json["critical"] = check.critical.into();
            by_name.insert(check.name.to_owned(), json);
        }
        if self.is_draining() {
            status = Readiness::NotReady;
            let stopping = serde_json::json!({
                "status": "unhealthy", "critical": true, "message": "the process is stopping",
            });
            by_name.insert("shutdown".to_owned(), stopping);
        }
        let ready = f64::from(u8::from(status != Readiness::NotReady));
        metrics::gauge!("gx_ready", "service" => self.0.service).set(ready);
        HealthReport {
            status,
            service: self.0.service,
            version: BUILD.version,
            commit: BUILD.commit,
            schema: self.0.schema.lock().expect("no holder of this lock can panic").clone(),
            timestamp: self.0.clock.now(),
            checks: by_name,
        }
    }

    fn gauge(&self, check: &'static str, status: CheckStatus) {
        let value = match status {
            CheckStatus::Healthy => 1.0,
            CheckStatus::Unhealthy => 0.0,
            CheckStatus::Unknown => -1.0,
        };
        metrics::gauge!("gx_health_check", "service" => self.0.service, "check" => check)
            .set(value);
    }

    /// Which loops are stuck.
    pub fn life(&self) -> LifeReport {
        let now = self.0.clock.now();
        let hearts = self.0.hearts.lock().expect("no holder of this lock can panic");
        let stuck: Vec<String> = hearts
            .iter()
            .filter_map(|state| {
                let state = state.lock().expect("no holder of this lock can panic");
                (now - state.last_beat > state.deadline).then(|| state.name.to_owned())
            })
            .collect();
        let status = if stuck.is_empty() { "alive" } else { "stuck" };
        LifeReport { status, service: self.0.service, stuck }
    }
}

fn worst(one: Readiness, other: Readiness) -> Readiness {
    match (one, other) {
        (Readiness::NotReady, _) | (_, Readiness::NotReady) => Readiness::NotReady,
        (Readiness::Degraded, _) | (_, Readiness::Degraded) => Readiness::Degraded,
        _ => Readiness::Ready,
    }
}

async fn verdict(check: &Check) -> Verdict {
    match &check.source {
        Source::Reported(verdict) => {
            verdict.lock().expect("no holder of this lock can panic").clone()
        }
        Source::Probe(probe) => {
            let late = || Verdict::unknown(format!("no answer within {PROBE_TIME_LIMIT:?}"));
            tokio::time::timeout(PROBE_TIME_LIMIT, probe()).await.unwrap_or_else(|_| late())
        }
    }
}
