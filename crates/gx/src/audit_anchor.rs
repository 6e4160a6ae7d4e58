//! `GX_AUDIT_ANCHOR`: where positions of the sealed audit log are also written, outside the
//! database. Settings of the process that seals.

use clap::Args;

/// The one value that is accepted.
const NONE: &str = "none";

#[derive(Args, Clone, Debug)]
pub(crate) struct AuditAnchorSettings {
    /// Where each sealed position of the audit log is also written: only `none`, because the ledger
    /// has no place for it
    #[arg(long, env = "GX_AUDIT_ANCHOR", default_value = NONE, value_parser = anchor)]
    _audit_anchor: String,
}

/// Parses the setting. `ledger` is refused, not ignored: somebody relies on it.
fn anchor(text: &str) -> Result<String, &'static str> {
    match text {
        NONE => Ok(text.to_owned()),
        "ledger" => {
            Err("the contracts have no place for a root (decision 0519); set it to none, and \
                         keep what `gx audit position` prints on another machine")
        }
        _ => Err("must be none"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        _anchor: super::AuditAnchorSettings,
    }

    /// LOG-03: an anchor on the ledger is refused with what is offered instead.
    #[test]
    fn log_03_an_anchor_on_the_ledger_is_refused_with_the_alternative() {
        assert!(CommandLine::try_parse_from(["gx"]).is_ok());
        assert!(CommandLine::try_parse_from(["gx", "--audit-anchor=none"]).is_ok());
        let refused = |value: &str| {
            let line = ["gx", "--audit-anchor", value];
            CommandLine::try_parse_from(line).err().unwrap().to_string()
        };
        assert!(refused("ledger").contains("`gx audit position`"), "{}", refused("ledger"));
        assert!(refused("paper").contains("must be none"), "{}", refused("paper"));
    }
}
