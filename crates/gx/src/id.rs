//! `gx id`: generates, decodes and verifies Fabric User IDs. `main` calls [`run`], and prints an
//! error, also that of an id which does not match, and exits with code 1.

use clap::{Args, Subcommand};
use gx_model::{AccountType, CountryCode, FabricUserId, Gender, IdSubject};
use serde_json::{Value, json};
use time::Date;
use time::macros::format_description;

use crate::CliError;
use crate::print::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum IdCommand {
    /// Generate an id for a person or organisation
    Generate(#[command(flatten)] Subject),
    /// Print the facts in an id: country, birth date, gender, account type
    Decode {
        /// The id, in quotes; in upper or lower case, with or without blanks
        #[arg(value_parser = FabricUserId::from_pasted)]
        id: FabricUserId,
    },
    /// Check that an id was generated from an e-mail address, birth date and country
    Verify {
        /// The id, in quotes; in upper or lower case, with or without blanks
        #[arg(value_parser = FabricUserId::from_pasted)]
        id: FabricUserId,
        #[command(flatten)]
        facts: Facts,
    },
}

/// The facts that an id is checked against.
#[derive(Debug, Args)]
pub(crate) struct Facts {
    /// E-mail address, in upper or lower case
    #[arg(long)]
    email: String,
    /// Date of birth or founding, YYYY-MM-DD
    #[arg(long, value_parser = parse_date)]
    birth_date: Date,
    /// ISO 3166-1 alpha-2 code, upper case
    #[arg(long)]
    country: CountryCode,
}

/// The facts that an id is generated from.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    #[command(flatten)]
    facts: Facts,
    /// male or female; ignored for organisations
    #[arg(long, default_value = "male")]
    gender: Gender,
    /// One hexadecimal digit: 0 individual, 1 for-profit, 2 not-for-profit, 3 education,
    /// 4 healthcare, 5 financial, 6 treasury, 7 governmental, 8 intergovernmental,
    /// 9 diplomatic, A trust, E special purpose, F system
    #[arg(long, value_parser = parse_account_type, default_value = "0")]
    account_type: AccountType,
}

/// Runs a command of `gx id`.
pub(crate) fn run(command: IdCommand, format: Format) -> Result<(), CliError> {
    match command {
        IdCommand::Generate(Subject { facts, gender, account_type }) => {
            let Facts { email, birth_date, country } = facts;
            let subject = IdSubject { email, birth_date, country, gender, account_type };
            let id = FabricUserId::generate(&subject, &mut rand::rng()).map_err(|why| {
                CliError::caused_by("no id can be generated; correct the facts", &why)
            })?;
            format.line(&id.to_string(), &json!({ "fabricUserId": id }))
        }
        IdCommand::Decode { id } => format.record(&facts_of(&id)),
        IdCommand::Verify { id, facts } => {
            id.verify(&facts.email, facts.birth_date, facts.country).map_err(|why| {
                CliError::caused_by("the id does not match; check the id and the facts", &why)
            })?;
            format.line("the id matches", &json!({ "fabricUserId": id, "agrees": true }))
        }
    }
}

fn facts_of(id: &FabricUserId) -> Value {
    json!({
        "country": id.country(),
        "birthDate": id.birth_date().to_string(),
        "gender": id.gender(),
        "accountType": id.account_type().digit().to_string(),
    })
}

fn parse_date(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "must be a date such as 1992-08-20".to_owned())
}

fn parse_account_type(text: &str) -> Result<AccountType, String> {
    let mut digits = text.chars();
    match (digits.next().and_then(AccountType::from_digit), digits.next()) {
        (Some(account_type), None) => Ok(account_type),
        _ => Err("must be one of the digits 0 to 9, A, E and F".to_owned()),
    }
}
