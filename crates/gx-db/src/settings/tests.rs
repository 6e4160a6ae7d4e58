use clap::{CommandFactory as _, Parser};

use sqlx::ConnectOptions as _;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    database: DatabaseSettings,
}

fn parse(arguments: &[&str]) -> Result<DatabaseSettings, clap::Error> {
    let all = std::iter::once("program").chain(arguments.iter().copied());
    Ok(Program::try_parse_from(all)?.database)
}

fn labels(settings: &DatabaseSettings) -> Vec<String> {
    settings.endpoints().unwrap().into_iter().map(|endpoint| endpoint.label).collect()
}

#[test]
fn parts_name_one_or_several_hosts() {
    let settings = parse(&["--database-host", "a, b:7", "--database-user", "gx"]).unwrap();
    assert_eq!(labels(&settings), ["a:5432/gx_protocol", "b:7/gx_protocol"]);
}

#[test]
fn everything_missing_is_named_at_once() {
    let settings = DatabaseSettings {
        database_url: None,
        database_password_file: Some("/nowhere/at/all".into()),
        ..DatabaseSettings::from_url("unused".to_owned().into())
    };
    let SettingsError(problems) = settings.verify().unwrap_err();
    let all = problems.join("\n");
    for name in ["DATABASE_URL", "DATABASE_USER", "DATABASE_PASSWORD_FILE"] {
        assert!(all.contains(name), "{name} in {all}");
    }
}

#[test]
fn a_password_on_its_own_wins_over_the_one_in_the_url() {
    let mut settings = DatabaseSettings::from_url("postgres://gx:old@h/gx".to_owned().into());
    settings.database_password = Some("n/e@w".to_owned().into());
    let endpoints = settings.endpoints().unwrap();
    assert!(endpoints[0].options.to_url_lossy().as_str().contains("gx:n%2Fe%40w@h"));
}

#[test]
fn values_out_of_range_are_refused_with_their_range() {
    for (name, value) in [
        ("--database-max-connections", "0"),
        ("--database-recheck-ms", "5"),
        ("--database-connect-timeout-ms", "never"),
        ("--database-system-id", "-1"),
        ("--database-ssl-mode", "perhaps"),
    ] {
        let argument = format!("{name}={value}");
        let error = parse(&[&argument]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn help_documents_every_setting_with_its_variable() {
    for argument in Program::command().get_arguments() {
        let name = argument.get_id().as_str();
        let variable = argument.get_env().unwrap_or_else(|| panic!("{name} has no variable"));
        assert_eq!(variable.to_str().unwrap(), name.to_uppercase());
        assert!(argument.get_help().is_some(), "{name}");
        let secret = ["database_url", "database_password"].contains(&name);
        assert_eq!(argument.is_hide_env_values_set(), secret, "{name}");
    }
}
