//! Logs and metrics, set up once a process.

use std::sync::OnceLock;

use clap::ValueEnum;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::build_info::BUILD;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Human,
}

/// What is logged, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct LogSettings {
    /// How log lines are written.
    #[arg(long, env = "GX_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// What is logged, as `level` or `target=level,…`.
    #[arg(long, env = "GX_LOG", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|why| format!("{why}; write a level such as info, or target=level,…"))
}

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something else has set up logging in this process.
    #[error("logging is set up already")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard error; times are in UTC.
///
/// # Errors
/// When the filter cannot be read, or logging has been set up before.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;
    subscriber(settings, std::io::stderr)?.try_init()?;
    tracing::info!(version = BUILD.version, commit = BUILD.commit, "started");
    Ok(())
}

/// What writes log lines in that format to that writer.
///
/// # Errors
/// When the filter cannot be read.
pub fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match settings.log_format {
        LogFormat::Json => {
            Box::new(lines.json().flatten_event(true).with_span_list(false).finish())
        }
        LogFormat::Human => Box::new(lines.finish()),
    })
}

/// The process's one metrics recorder; the first call installs it.
///
/// # Panics
/// When something else has installed another recorder in this process.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let handle = install().expect("nothing else in this process installs a metrics recorder");
        metrics::gauge!("gx_build_info", "version" => BUILD.version, "commit" => BUILD.commit)
            .set(1.0);
        handle
    })
}

/// Upper bounds, in seconds, of every histogram.
const BUCKETS_S: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().set_buckets(&BUCKETS_S)?.install_recorder()
}
