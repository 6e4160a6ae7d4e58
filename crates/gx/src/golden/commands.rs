//! The command line: every command with its arguments, and every setting.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::check;
use crate::{Cli, OTHER_NAMES};

/// Arguments that clap adds to every command.
const ADDED_BY_CLAP: [&str; 2] = ["help", "version"];

#[test]
fn commands_and_flags_are_those_of_the_golden_file() {
    let mut text = String::new();
    add_command(&mut text, "gx", &built(), true);
    check("commands.txt", &text);
}

#[test]
fn settings_are_those_of_the_golden_file() {
    let mut settings = BTreeSet::new();
    add_settings(&mut settings, &built());
    let mut text: String = settings.into_iter().map(|line| line + "\n").collect();
    text.push_str("\nNames of the environment that are not settings:\n");
    OTHER_NAMES.iter().for_each(|name| writeln!(text, "{name}").unwrap());
    check("settings.txt", &text);
}

fn built() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Adds a command with its arguments, and then its subcommands.
fn add_command(text: &mut String, path: &str, command: &Command, is_root: bool) {
    writeln!(text, "{path}").unwrap();
    for alias in command.get_all_aliases() {
        writeln!(text, "  alias {alias}").unwrap();
    }
    for argument in command.get_arguments().filter(|argument| is_ours(argument)) {
        if is_root || !argument.is_global_set() {
            writeln!(text, "  {}", line(argument)).unwrap();
        }
    }
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        add_command(text, &format!("{path} {}", inner.get_name()), inner, false);
    }
}

fn is_ours(argument: &Arg) -> bool {
    !ADDED_BY_CLAP.contains(&argument.get_id().as_str())
}

/// Returns how an argument is given: its flags, its environment variable, its default, its
/// possible values.
fn line(argument: &Arg) -> String {
    let mut words = Vec::new();
    match (argument.get_index(), argument.get_long()) {
        (Some(index), _) => words.push(format!("argument {index}")),
        (None, Some(long)) => words.push(format!("--{long}")),
        (None, None) => {}
    }
    words.extend(argument.get_short().map(|short| format!("-{short}")));
    for alias in argument.get_all_aliases().unwrap_or_default() {
        words.push(format!("--{alias}"));
    }
    if argument.get_action().takes_values() {
        words.push(format!("[values: {}]", argument.get_num_args().unwrap_or_default()));
    }
    words.extend(environment(argument).map(|name| format!("[env: {name}]")));
    words.extend(default(argument));
    let choices: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if argument.get_action().takes_values() && !choices.is_empty() {
        words.push(format!("[one of: {}]", choices.join(", ")));
    }
    words.extend(argument.get_value_delimiter().map(|mark| format!("[separated by: {mark}]")));
    words.extend(argument.is_required_set().then(|| "required".to_owned()));
    words.join(" ")
}

fn environment(argument: &Arg) -> Option<String> {
    argument.get_env().map(|name| name.to_string_lossy().into_owned())
}

fn default(argument: &Arg) -> Option<String> {
    let values: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    (!values.is_empty()).then(|| format!("[default: {}]", values.join(", ")))
}

fn add_settings(settings: &mut BTreeSet<String>, command: &Command) {
    for argument in command.get_arguments() {
        if let (Some(name), Some(long)) = (environment(argument), argument.get_long()) {
            let default = default(argument).map(|text| format!(" {text}")).unwrap_or_default();
            settings.insert(format!("{name} --{long}{default}"));
        }
    }
    command.get_subcommands().for_each(|inner| add_settings(settings, inner));
}
