//! Logs and metrics, set up once per process. `gx` calls [`init`] when a role starts.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use clap::ValueEnum;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::build_info::BUILD;

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for a terminal.
    Human,
}

/// Format and filter of the log.
#[derive(Clone, Debug, clap::Args)]
pub struct LogSettings {
    /// How log lines are written.
    #[arg(long, env = "GX_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Filter of log lines, as `level` or `target=level,…`.
    #[arg(long, env = "GX_LOG", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

/// Converts a count to the value of a gauge. Beyond 2^53 the last digits are lost.
pub fn as_gauge(count: impl Into<i128>) -> f64 {
    count.into() as f64
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
    #[error("the log filter cannot be read; correct GX_LOG")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging has been set up before in this process.
    #[error("logging is set up already; report this defect")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging to standard error, with times in UTC.
///
/// # Errors
/// [`TelemetryError`] if the filter cannot be read or logging has been set up before.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;
    lines(settings, std::io::stderr, std::io::stderr().is_terminal())?.try_init()?;
    tracing::info!(
        version = BUILD.version,
        commit = BUILD.commit,
        "started version {} of commit {}",
        BUILD.version,
        BUILD.commit
    );
    Ok(())
}

/// Returns a subscriber that writes log lines to `writer`.
///
/// # Errors
/// [`TelemetryError::Filter`] if the filter cannot be read.
pub fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    lines(settings, writer, false)
}

fn lines<W>(
    settings: &LogSettings,
    writer: W,
    has_colours: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log)?;
    // A line that cannot be written is lost. Reporting the failure on the same stream would panic
    // if the stream is closed.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(has_colours)
        .log_internal_errors(false);
    Ok(match settings.log_format {
        LogFormat::Json => {
            Box::new(lines.json().flatten_event(true).with_span_list(false).finish())
        }
        LogFormat::Human => Box::new(lines.finish()),
    })
}

/// Returns the metrics recorder of the process. The first call installs it.
///
/// # Panics
/// If another recorder has been installed in this process.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let handle = install().expect("nothing else in this process installs a metrics recorder");
        metrics::gauge!("gx_build_info", "version" => BUILD.version, "commit" => BUILD.commit)
            .set(1.0);
        handle
    })
}

/// Upper bounds of every histogram's buckets, in seconds.
const BUCKETS_S: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().set_buckets(&BUCKETS_S)?.install_recorder()
}
