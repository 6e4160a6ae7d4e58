//! Wrong settings. Each case runs in its own process, because a process cannot safely change its
//! environment.

use std::collections::BTreeMap;
use std::process::Command as Process;

use clap::{CommandFactory, Parser};

use crate::settings::{StartError, duration, read};

#[derive(Parser, Debug)]
#[command(name = "gx-test")]
struct Role {
    /// Port of the listener.
    #[arg(long, env = "GX_TEST_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// URL of the database.
    #[arg(long, env = "DATABASE_TEST_URL")]
    database_url: String,
    /// Limit of the lag.
    #[arg(long, env = "PROJECTION_TEST_LIMIT", default_value = "24h", value_parser = duration)]
    limit: std::time::Duration,
    /// Whether to be strict.
    #[arg(long, env = "GX_TEST_STRICT", value_parser = clap::value_parser!(bool),
          default_value = "true")]
    strict: bool,
    /// Secret that signs tokens.
    #[arg(long, env = "JWT_TEST_SECRET", hide_env_values = true, value_parser = secret)]
    secret: Option<String>,
    /// Format of log lines.
    #[arg(long, env = "GX_TEST_FORMAT", value_enum, default_value = "json")]
    format: crate::telemetry::LogFormat,
}

fn secret(text: &str) -> Result<String, String> {
    if text.len() < 32 {
        Err("must have at least 32 bytes".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Reads the settings of this process and prints the result.
#[test]
#[ignore = "a child of the tests below"]
#[expect(clippy::disallowed_methods, reason = "plays the part of a binary")]
fn child() {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let arguments = environment.get("GX_TEST_ARGUMENTS").map_or("", String::as_str);
    let line = ["gx-test"].into_iter().chain(arguments.split_whitespace());
    let known = ["GX_TEST_ARGUMENTS"];
    match read(&Role::command(), line.map(Into::into).collect(), &environment, &known) {
        Ok(matches) => println!("started {:?}", matches.get_one::<u16>("port")),
        Err(StartError::Clap(error)) => println!("clap {}", error.kind()),
        Err(StartError::Settings(report)) => println!("report {report}\nend"),
    }
}

fn start(arguments: &str, environment: &[(&str, &str)]) -> String {
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::settings::child", "--ignored", "--nocapture"])
        .env("GX_TEST_ARGUMENTS", arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// CFG-02: a required name that is absent, `0`, `no`, a short signing secret and a misspelt name
/// are in one report; the secret itself is not.
#[test]
fn one_report_lists_everything_that_is_wrong() {
    let output = start(
        "",
        &[
            ("GX_TEST_PORT", "0"),
            ("PROJECTION_TEST_LIMIT", "0"),
            ("GX_TEST_STRICT", "no"),
            ("JWT_TEST_SECRET", "hunter2"),
            ("GX_TEST_FORMAT", "xml"),
            ("PROJECTION_TEST_LIMTI", "12h"),
            ("GX_SOMETHING_ELSE", "1"),
        ],
    );
    let report = output.split("report ").nth(1).unwrap().split("\nend").next().unwrap();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "8 settings are wrong:");
    for (line, expected) in lines[1..].iter().zip([
        "DATABASE_TEST_URL: is required and not set (URL of the database)",
        "GX_SOMETHING_ELSE: is unknown; remove it, or see `--help` for the names",
        "GX_TEST_FORMAT: must be one of json, human (Format of log lines)",
        "GX_TEST_PORT: 0 is not in 1..=65535 (Port of the listener)",
        "GX_TEST_STRICT: must be one of true, false (Whether to be strict)",
        "JWT_TEST_SECRET: must have at least 32 bytes (Secret that signs tokens)",
        "PROJECTION_TEST_LIMIT: must be more than zero (Limit of the lag)",
        "PROJECTION_TEST_LIMTI: is unknown; did you mean PROJECTION_TEST_LIMIT?",
    ]) {
        assert_eq!(line.trim(), expected, "{report}");
    }
    assert_eq!(lines[9..], ["hint: correct each one in the list"]);
    assert!(!output.contains("hunter2"));
}

#[test]
fn right_settings_start_from_the_environment_and_the_command_line() {
    let right = [("GX_TEST_PORT", "3001"), ("DATABASE_TEST_URL", "postgres://x")];
    assert!(start("", &right).contains("started Some(3001)"));
    assert!(start("--port 4000", &right).contains("started Some(4000)"));
    let output = start("--port 4000", &[]);
    assert!(output.contains("one setting is wrong:\n  DATABASE_TEST_URL"), "{output}");
    assert!(start("--help", &[]).contains("clap"));
    assert!(start("--nonsense", &right).contains("clap unexpected argument"));
}

#[test]
fn lengths_of_time_have_units() {
    for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800)]
    {
        assert_eq!(duration(text), Ok(std::time::Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "0", "0h", "-1", "1.5h", "h", "no", "1w", "99999999999999999999d"] {
        assert!(duration(text).is_err(), "{text}");
    }
}
