//! Settings that are wrong, all of them at once (CFG-02).
//!
//! Clap stops at the first setting that it cannot read. A start that fails is read again
//! here, one setting at a time, so that the operator sees everything that is missing, weak,
//! unparsable or misspelt in one report.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::fields::edits;

/// Prefixes that are ours alone: an unknown name with one of them is a mistake.
const OWN_PREFIXES: [&str; 2] = ["GX_", "JWT_"];
/// Shortest known name that a stranger's can be taken for.
const SHORTEST_MISSPELT: usize = 8;

/// Everything that is wrong with the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingsReport(Vec<String>);

impl std::error::Error for SettingsReport {}

impl std::fmt::Display for SettingsReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.len() {
            1 => write!(f, "one setting is wrong:")?,
            n => write!(f, "{n} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl SettingsReport {
    /// A report of findings made elsewhere, such as what production refuses; `Ok` when there
    /// are none.
    ///
    /// # Errors
    /// The report, when there is something in it.
    pub fn of(findings: Vec<String>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self(findings)) }
    }

    /// One line a finding.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// Why a command line and its environment make no start.
#[derive(Debug)]
pub enum NoStart {
    /// `--help`, `--version` or a mistake on the command line, as clap says it.
    Clap(clap::Error),
    /// Settings are wrong.
    Settings(SettingsReport),
}

/// Reads the command line and the environment. `known` are names of the environment that
/// belong to us though no setting has them.
///
/// # Errors
/// Clap's own answer for help and for mistakes on the command line, else everything that is
/// wrong with the settings.
pub fn read(
    command: &Command,
    arguments: Vec<OsString>,
    environment: &BTreeMap<String, String>,
    known: &[&str],
) -> Result<ArgMatches, NoStart> {
    let mut findings = misspelt(command, environment, known);
    match command.clone().try_get_matches_from(arguments.clone()) {
        Ok(matches) => {
            findings.extend(told_secrets(command, &matches));
            if findings.is_empty() {
                return Ok(matches);
            }
            Err(NoStart::Settings(SettingsReport(findings)))
        }
        Err(error) => {
            let mut built = command.clone();
            built.build();
            let wrong = wrong_settings(&built, arguments, environment);
            if is_for_clap(&error) || (wrong.is_empty() && findings.is_empty()) {
                return Err(NoStart::Clap(error));
            }
            findings.extend(wrong);
            findings.sort();
            Err(NoStart::Settings(SettingsReport(findings)))
        }
    }
}

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

/// Each setting of the chosen command that does not stand by itself.
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

/// Secrets that stand on the command line, where every user of the machine can read them.
fn told_secrets(command: &Command, given: &ArgMatches) -> Vec<String> {
    let (chosen, given) = innermost(command, given);
    chosen
        .get_arguments()
        .filter(|argument| argument.is_hide_env_values_set() && on_command_line(argument, given))
        .filter_map(Arg::get_env)
        .map(|name| {
            format!("{}: is a secret; give it in the environment alone", name.to_string_lossy())
        })
        .collect()
}

/// The subcommand that was chosen, and what was given to it.
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

/// What is wrong with one setting's value in the environment. The value itself is not
/// repeated, for it may be a secret.
fn wrong_setting(argument: &Arg, environment: &BTreeMap<String, String>) -> Option<String> {
    let name = argument.get_env()?.to_string_lossy();
    let value = environment.get(name.as_ref());
    let line = value.map(|value| OsString::from(format!("--{}={value}", argument.get_id())));
    let alone = Command::new("setting").no_binary_name(true).arg(by_itself(argument));
    let error = alone.try_get_matches_from(line).err()?;
    let what = match error.kind() {
        ErrorKind::MissingRequiredArgument => "is required and not set".to_owned(),
        ErrorKind::InvalidValue => one_of(&by_itself(argument)),
        _ => std::error::Error::source(&error)
            .map_or_else(|| error.kind().to_string(), ToString::to_string),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = if help.is_empty() { help } else { format!(" ({})", help.trim_end_matches('.')) };
    Some(format!("{name}: {what}{help}"))
}

/// The setting without its relations to others, which are not there to be looked at; clap
/// itself tells what is wrong between settings once each is right.
fn by_itself(argument: &Arg) -> Arg {
    let id = argument.get_id();
    // A flag has no value on the command line; in the environment it has.
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

/// Names in the environment that are none of ours and look as if they were meant to be.
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
                .filter(|known| known.len() >= SHORTEST_MISSPELT)
                .map(|known| (edits(name, known), known))
                .filter(|(distance, _)| *distance <= 2)
                .min();
            match nearest {
                Some((_, meant)) => Some(format!("{name}: is unknown; did you mean {meant}?")),
                None if OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => {
                    Some(format!("{name}: is unknown; remove it, or see --help for the names"))
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

/// Reads a length of time: a whole number with `s`, `m`, `h` or `d`, or of seconds.
///
/// # Errors
/// A sentence that says what to write.
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
