//! Reads settings and reports all that are wrong at once (CFG-02). `gx` calls [`read`] first; after
//! an error it prints the report and ends.
//!
//! Clap stops at the first setting that it cannot read. If a start fails, this module reads the
//! settings again, one at a time, so that one report names everything that is missing, weak,
//! unreadable or misspelt.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Prefixes that only GX uses: an unknown name with one of them is a mistake.
const OWN_PREFIXES: [&str; 2] = ["GX_", "JWT_"];
/// Shortest known name that an unknown name is compared with.
const MIN_COMPARED_NAME: usize = 8;

/// All findings about the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingsReport(Vec<String>);

impl std::error::Error for SettingsReport {}

impl std::fmt::Display for SettingsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.len() {
            1 => write!(f, "one setting is wrong:")?,
            n => write!(f, "{n} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        f.write_str("\nhint: correct each one in the list")
    }
}

impl SettingsReport {
    /// Returns a report of findings of another module, such as the rules for production, or `Ok` if
    /// there are none.
    ///
    /// # Errors
    /// The report, if it has findings.
    pub fn of(findings: Vec<String>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self(findings)) }
    }

    /// Returns the findings, one per line.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// Why the process cannot start.
#[derive(Debug)]
pub enum StartError {
    /// `--help`, `--version` or a mistake on the command line, in clap's words.
    Clap(clap::Error),
    /// Settings are wrong.
    Settings(SettingsReport),
}

/// Reads the command line and the environment. `known` are names in the environment that belong to
/// GX and are not settings.
///
/// # Errors
/// [`StartError`] with clap's text for help and mistakes on the command line, and with all findings
/// about settings otherwise.
pub fn read(
    command: &Command,
    arguments: Vec<OsString>,
    environment: &BTreeMap<String, String>,
    known: &[&str],
) -> Result<ArgMatches, StartError> {
    let mut findings = misspelt(command, environment, known);
    match command.clone().try_get_matches_from(arguments.clone()) {
        Ok(matches) => {
            findings.extend(exposed_secrets(command, &matches));
            if findings.is_empty() {
                return Ok(matches);
            }
            Err(StartError::Settings(SettingsReport(findings)))
        }
        Err(error) => {
            let mut built = command.clone();
            built.build();
            let wrong = wrong_settings(&built, arguments, environment);
            if is_for_clap(&error) || (wrong.is_empty() && findings.is_empty()) {
                return Err(StartError::Clap(error));
            }
            findings.extend(wrong);
            findings.sort();
            Err(StartError::Settings(SettingsReport(findings)))
        }
    }
}

/// Returns whether clap's own text is the answer: help, the version, or a mistake on the command
/// line.
fn is_for_clap(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::InvalidSubcommand
            | ErrorKind::UnknownArgument
            | ErrorKind::MissingSubcommand
    )
}

/// Returns the findings about the settings of the chosen command, each read on its own.
fn wrong_settings(
    command: &Command,
    arguments: Vec<OsString>,
    environment: &BTreeMap<String, String>,
) -> Vec<String> {
    let given = command.clone().ignore_errors(true).try_get_matches_from(arguments);
    let given = given.unwrap_or_default();
    let (chosen, given) = innermost(command, &given);
    chosen
        .get_arguments()
        .filter(|argument| !on_command_line(argument, given))
        .filter_map(|argument| wrong_setting(argument, environment))
        .collect()
}

/// Returns a finding for each secret on the command line, where every user of the machine can read
/// it.
fn exposed_secrets(command: &Command, given: &ArgMatches) -> Vec<String> {
    let (chosen, given) = innermost(command, given);
    chosen
        .get_arguments()
        .filter(|argument| argument.is_hide_env_values_set() && on_command_line(argument, given))
        .filter_map(Arg::get_env)
        .map(|name| {
            format!("{}: is a secret; set it only in the environment", name.to_string_lossy())
        })
        .collect()
}

/// Returns the chosen subcommand and its arguments.
fn innermost<'a>(command: &'a Command, given: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    match given.subcommand() {
        Some((name, inner)) => match command.find_subcommand(name) {
            Some(next) => innermost(next, inner),
            None => (command, given),
        },
        None => (command, given),
    }
}

fn on_command_line(argument: &Arg, given: &ArgMatches) -> bool {
    let id = argument.get_id().as_str();
    given.try_contains_id(id).unwrap_or(false)
        && given.value_source(id) == Some(ValueSource::CommandLine)
}

/// Returns the finding about a setting's value in the environment, or `None` if the value is right.
/// The value is left out of the text, because it may be a secret.
fn wrong_setting(argument: &Arg, environment: &BTreeMap<String, String>) -> Option<String> {
    let name = argument.get_env()?.to_string_lossy();
    let value = environment.get(name.as_ref());
    let line = value.map(|value| OsString::from(format!("--{}={value}", argument.get_id())));
    let alone = Command::new("setting").no_binary_name(true).arg(without_relations(argument));
    let error = alone.try_get_matches_from(line).err()?;
    let what = match error.kind() {
        ErrorKind::MissingRequiredArgument => "is required and not set".to_owned(),
        ErrorKind::InvalidValue => one_of(&without_relations(argument)),
        _ => std::error::Error::source(&error)
            .map_or_else(|| error.kind().to_string(), ToString::to_string),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = if help.is_empty() { help } else { format!(" ({})", help.trim_end_matches('.')) };
    Some(format!("{name}: {what}{help}"))
}

/// Returns the setting without its relations to other settings, which are not present. Clap reports
/// wrong relations once each setting is right.
fn without_relations(argument: &Arg) -> Arg {
    let id = argument.get_id();
    // A flag has no value on the command line, but it has one in the environment.
    let takes_values = argument.get_action().takes_values();
    let action = if takes_values { argument.get_action().clone() } else { ArgAction::Set };
    let alone = Arg::new(id.clone())
        .long(id.clone())
        .action(action)
        .required(argument.is_required_set() && argument.get_default_values().is_empty())
        .value_parser(argument.get_value_parser().clone());
    match argument.get_value_delimiter() {
        Some(delimiter) => alone.value_delimiter(delimiter),
        None => alone,
    }
}

fn one_of(argument: &Arg) -> String {
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if possible.is_empty() {
        "is empty".to_owned()
    } else {
        format!("must be one of {}", possible.join(", "))
    }
}

/// Returns a finding for each unknown name in the environment that resembles a name of GX.
fn misspelt(
    command: &Command,
    environment: &BTreeMap<String, String>,
    known: &[&str],
) -> Vec<String> {
    let mut names: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
    collect_names(command, &mut names);
    environment
        .keys()
        .filter(|name| !names.contains(name))
        .filter_map(|name| {
            let nearest = names
                .iter()
                .filter(|known| known.len() >= MIN_COMPARED_NAME)
                .map(|known| (strsim::osa_distance(name, known), known))
                .filter(|(distance, _)| *distance <= 2)
                .min();
            match nearest {
                Some((_, meant)) => Some(format!("{name}: is unknown; did you mean {meant}?")),
                None if OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {
                    Some(format!("{name}: is unknown; remove it, or see `--help` for the names"))
                }
                None => None,
            }
        })
        .collect()
}

fn collect_names(command: &Command, names: &mut Vec<String>) {
    let own = command.get_arguments().filter_map(Arg::get_env);
    names.extend(own.map(|name| name.to_string_lossy().into_owned()));
    for subcommand in command.get_subcommands() {
        collect_names(subcommand, names);
    }
}

/// Reads a duration: a whole number with `s`, `m`, `h` or `d`, or a number of seconds.
///
/// # Errors
/// A sentence that names the valid form.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refused = || "write a whole number with s, m, h or d, such as 15m or 24h".to_owned();
    let (digits, unit_s) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3_600),
        Some(digits) if text.ends_with('d') => (digits, 86_400),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let count: u64 = digits.parse().map_err(|_| refused())?;
    match count.checked_mul(unit_s) {
        Some(0) => Err("must be more than zero".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(refused()),
    }
}
