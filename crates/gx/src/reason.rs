//! The reason that an operator gives for a change. The audit log keeps it.

/// Parses `--reason`, which must not be blank.
pub(crate) fn reason(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("it is empty; give a reason for the audit log");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{Command, CommandFactory as _};

    use crate::Cli;

    /// A blank reason would be a blank line of the audit log, so every command refuses it.
    #[test]
    fn every_command_with_a_reason_refuses_a_blank_one() {
        let mut paths = Vec::new();
        let command = Cli::command();
        add_paths(&mut paths, &["gx"], &command);
        assert!(paths.len() > 5, "only {paths:?} have a reason");
        for mut words in paths {
            words.extend(["--reason", " "]);
            let error = command.clone().try_get_matches_from(&words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{words:?}: {error}");
        }
    }

    /// Adds the words of each command that has an argument `--reason`.
    fn add_paths<'a>(paths: &mut Vec<Vec<&'a str>>, words: &[&'a str], command: &'a Command) {
        if command.get_arguments().any(|argument| argument.get_long() == Some("reason")) {
            paths.push(words.to_vec());
        }
        for inner in command.get_subcommands() {
            add_paths(paths, &[words, &[inner.get_name()]].concat(), inner);
        }
    }
}
