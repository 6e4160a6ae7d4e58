//! Health of a process: its checks, and whether its loops are alive. Components add checks at the
//! start; the pages `/health`, `/readyz`, `/livez` and `/metrics` ask for the report.
//!
//! A check is *critical* if the process cannot serve without the thing that is checked. A critical
//! check that is not healthy makes the process `not_ready`; another check makes it `degraded`, and
//! the process continues to serve (G8).

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

/// Limit for one check to return; a check that takes longer is `unknown`.
const CHECK_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Result of a check, with an optional message and measured value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckResult {
    status: CheckStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

/// Status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// The check passed.
    Healthy,
    /// The check failed.
    Unhealthy,
    /// The check could not be made.
    Unknown,
}

impl CheckResult {
    /// Creates the result of a check that passed.
    pub fn healthy() -> Self {
        Self { status: CheckStatus::Healthy, message: None, value: None }
    }

    /// Creates the result of a check that failed.
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self { status: CheckStatus::Unhealthy, message: Some(message.into()), value: None }
    }

    /// Creates the result of a check that could not be made.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { status: CheckStatus::Unknown, message: Some(message.into()), value: None }
    }

    /// Adds the measured value.
    #[must_use]
    pub fn with_value(mut self, value: Value) -> Self {
        self.value = Some(value);
        self
    }

    /// Adds a remark to a healthy result.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Returns the status.
    pub fn status(&self) -> CheckStatus {
        self.status
    }
}

type CheckFn = Arc<dyn Fn() -> BoxFuture<'static, CheckResult> + Send + Sync>;

#[derive(Clone)]
enum Source {
    Reported(Arc<Mutex<CheckResult>>),
    Computed(CheckFn),
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
    /// Boards whose checks and heartbeats this board includes.
    parts: Vec<HealthBoard>,
}

/// The checks and heartbeats of one process. Clones share them.
#[derive(Clone)]
pub struct HealthBoard(Arc<Board>);

/// Handle with which a component reports the result of one check.
#[derive(Clone)]
pub struct CheckHandle(Arc<Mutex<CheckResult>>);

impl CheckHandle {
    /// Sets the result of the check.
    pub fn set(&self, result: CheckResult) {
        *self.0.lock().expect("no holder of this lock can panic") = result;
    }

    /// Reports that the check passed.
    pub fn healthy(&self) {
        self.set(CheckResult::healthy());
    }

    /// Reports that the check failed, with the measured value.
    pub fn unhealthy(&self, message: impl Into<String>, value: Value) {
        self.set(CheckResult::unhealthy(message).with_value(value));
    }

    /// Reports that the check could not be made.
    pub fn unknown(&self, message: impl Into<String>) {
        self.set(CheckResult::unknown(message));
    }
}

/// The heartbeat of a loop. A loop that does not beat within its deadline makes `/livez` fail.
pub struct Heart {
    state: Arc<Mutex<HeartState>>,
    board: HealthBoard,
}

impl Heart {
    /// Records that the loop is alive.
    pub fn beat(&self) {
        let now = self.board.0.clock.now();
        self.state.lock().expect("no holder of this lock can panic").last_beat = now;
    }
}

/// Removes the heartbeat: a loop that has ended is not stuck.
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
    /// Every check passed.
    Ready,
    /// The process serves, and a check that is not critical has not passed.
    Degraded,
    /// The process does not serve.
    NotReady,
}

/// Body of `/health` and `/readyz`.
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
    /// Time of the report.
    #[serde(with = "crate::moment")]
    pub timestamp: OffsetDateTime,
    /// Each check by its name: `{status, critical, message?, value?}`.
    #[schema(value_type = Object)]
    pub checks: Map<String, Value>,
}

/// Body of `/livez`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LifeReport {
    /// `alive` or `stuck`.
    pub status: &'static str,
    /// The role's name.
    pub service: &'static str,
    /// Loops that did not beat within their deadline.
    pub stuck: Vec<String>,
}

impl HealthBoard {
    /// Creates an empty board, which is ready and alive. Installs the metrics recorder of the
    /// process, so that no count is lost.
    pub fn new(service: &'static str, clock: Clock) -> Self {
        Self::joined(service, clock, Vec::new())
    }

    /// Creates a board that includes the checks and heartbeats of `parts`.
    pub fn joined(service: &'static str, clock: Clock, parts: Vec<HealthBoard>) -> Self {
        let _installed = telemetry::metrics();
        Self(Arc::new(Board {
            service,
            clock,
            draining: AtomicBool::new(false),
            schema: Mutex::default(),
            checks: Mutex::default(),
            hearts: Mutex::default(),
            parts,
        }))
    }

    /// Returns the role's name.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Adds a check that a component reports. The check is `unknown` until its first report.
    pub fn check(&self, name: &'static str, critical: bool) -> CheckHandle {
        let result = Arc::new(Mutex::new(CheckResult::unknown("not checked yet")));
        self.add(name, critical, Source::Reported(Arc::clone(&result)));
        CheckHandle(result)
    }

    /// Adds a check that is made for each report.
    pub fn check_with<F>(&self, name: &'static str, critical: bool, check: F)
    where
        F: Fn() -> BoxFuture<'static, CheckResult> + Send + Sync + 'static,
    {
        self.add(name, critical, Source::Computed(Arc::new(check)));
    }

    fn add(&self, name: &'static str, critical: bool, source: Source) {
        let mut checks = self.0.checks.lock().expect("no holder of this lock can panic");
        checks.retain(|check| check.name != name);
        checks.push(Check { name, critical, source });
    }

    /// Adds the heartbeat of a loop, which must beat within each `deadline`.
    pub fn heart(&self, name: &'static str, deadline: Duration) -> Heart {
        let state = HeartState { name, deadline, last_beat: self.0.clock.now() };
        let state = Arc::new(Mutex::new(state));
        self.0.hearts.lock().expect("no holder of this lock can panic").push(Arc::clone(&state));
        Heart { state, board: self.clone() }
    }

    /// Sets the version of the database schema.
    pub fn set_schema(&self, schema: impl Into<String>) {
        *self.0.schema.lock().expect("no holder of this lock can panic") = Some(schema.into());
    }

    /// Makes the process report not ready, because it is about to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Returns whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire) || self.0.parts.iter().any(Self::is_draining)
    }

    /// Returns the checks of this board and its parts, one of each name: services make the same
    /// checks of the same database.
    fn checks(&self) -> Vec<Check> {
        let mut checks = self.0.checks.lock().expect("no holder of this lock can panic").clone();
        for check in self.0.parts.iter().flat_map(Self::checks) {
            if checks.iter().all(|known| known.name != check.name) {
                checks.push(check);
            }
        }
        checks
    }

    fn schema(&self) -> Option<String> {
        let own = self.0.schema.lock().expect("no holder of this lock can panic").clone();
        own.or_else(|| self.0.parts.iter().find_map(Self::schema))
    }

    /// Makes all checks and returns their sum. Also sets the gauges `gx_health_check` (1 healthy, 0
    /// unhealthy, -1 unknown) and `gx_ready`.
    pub async fn report(&self) -> HealthReport {
        let checks = self.checks();
        let results = join_all(checks.iter().map(check_result)).await;
        let mut status = Readiness::Ready;
        let mut by_name = Map::new();
        for (check, result) in checks.iter().zip(results) {
            if result.status != CheckStatus::Healthy {
                let worse = if check.critical { Readiness::NotReady } else { Readiness::Degraded };
                status = worst(status, worse);
            }
            self.gauge(check.name, result.status);
            let mut json =
                serde_json::to_value(&result).expect("a check result has only text keys");
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
            schema: self.schema(),
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

    /// Returns the loops that are stuck.
    pub fn life(&self) -> LifeReport {
        let stuck = self.stuck();
        let status = if stuck.is_empty() { "alive" } else { "stuck" };
        LifeReport { status, service: self.0.service, stuck }
    }

    fn stuck(&self) -> Vec<String> {
        let now = self.0.clock.now();
        let hearts = self.0.hearts.lock().expect("no holder of this lock can panic");
        let own = hearts.iter().filter_map(|state| {
            let state = state.lock().expect("no holder of this lock can panic");
            (now - state.last_beat > state.deadline).then(|| state.name.to_owned())
        });
        own.chain(self.0.parts.iter().flat_map(Self::stuck)).collect()
    }
}

fn worst(one: Readiness, other: Readiness) -> Readiness {
    match (one, other) {
        (Readiness::NotReady, _) | (_, Readiness::NotReady) => Readiness::NotReady,
        (Readiness::Degraded, _) | (_, Readiness::Degraded) => Readiness::Degraded,
        _ => Readiness::Ready,
    }
}

async fn check_result(check: &Check) -> CheckResult {
    match &check.source {
        Source::Reported(result) => {
            result.lock().expect("no holder of this lock can panic").clone()
        }
        Source::Computed(check) => {
            let late = || CheckResult::unknown(format!("no answer within {CHECK_TIME_LIMIT:?}"));
            tokio::time::timeout(CHECK_TIME_LIMIT, check()).await.unwrap_or_else(|_| late())
        }
    }
}
