//! Makes the contract call that carries a batch. Called by `submitter::send` before each
//! endorsement. A batch with a command that cannot be read is split until that command is alone and
//! is charged.

use gx_db::StoredCommandId;
use gx_model::{BatchCommand, Command, CommandId, CommandKind};
use gx_outbox::submitter::{Due, Purpose};
use rand::Rng;
use uuid::Builder;

/// A function of the contracts with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContractCall {
    pub(crate) function: &'static str,
    pub(crate) args: Vec<String>,
}

/// A stored command that cannot be read, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadableCommand {
    pub(crate) command_id: StoredCommandId,
    pub(crate) reason: String,
}

/// Returns the call for commands with the same purpose. Each cancellation has its own random id;
/// only then does the ledger answer with the current outcome of each command.
pub(crate) fn contract_call(
    purpose: Purpose,
    commands: &[Due],
    rng: &mut impl Rng,
) -> Result<ContractCall, UnreadableCommand> {
    match purpose {
        Purpose::Execute => {
            let batch = commands.iter().map(batch_command).collect::<Result<Vec<_>, _>>()?;
            let json = serde_json::to_string(&batch).expect("commands have only text keys");
            Ok(ContractCall { function: BatchCommand::EXECUTE, args: vec![json] })
        }
        Purpose::Cancel => {
            let ids = commands.iter().map(command_id).collect::<Result<Vec<_>, _>>()?;
            let json = serde_json::to_string(&ids).expect("ids are texts");
            let mut bytes = [0_u8; 16];
            rng.fill_bytes(&mut bytes);
            let own = CommandId::from(Builder::from_random_bytes(bytes).into_uuid());
            Ok(ContractCall { function: BatchCommand::CANCEL, args: vec![json, own.to_string()] })
        }
    }
}

fn batch_command(due: &Due) -> Result<BatchCommand, UnreadableCommand> {
    let unreadable =
        |reason: String| UnreadableCommand { command_id: due.command_id.clone(), reason };
    let kind = CommandKind::from_name(&due.kind)
        .ok_or_else(|| unreadable(format!("the command kind {} is unknown", due.kind)))?;
    let command = Command::from_payload(kind, &due.payload)
        .map_err(|why| unreadable(format!("the payload is malformed: {why}")))?;
    Ok(BatchCommand::new(command_id(due)?, &command))
}

fn command_id(due: &Due) -> Result<CommandId, UnreadableCommand> {
    due.command_id.parse().map_err(|why| UnreadableCommand {
        command_id: due.command_id.clone(),
        reason: format!("the id is malformed: {why}"),
    })
}
