//! `cscc`: the channels of a peer and their configuration. The error of each query is a peer's
//! message.

use gx_fabric_proto::common::{Block, ConfigEnvelope, Envelope, Payload};
use gx_fabric_proto::protos::{ChannelInfo, ChannelQueryResponse};
use prost::Message;

use super::Query;

/// The number of the configuration block; the configuration never changes here.
const CONFIG_BLOCK: u64 = 0;

/// Answers a query after the checks that its function needs.
pub(super) fn answer(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let function = query.text(0);
    let needed =
        if ["GetChannels", "JoinBySnapshotStatus"].contains(&function.as_ref()) { 1 } else { 2 };
    if query.args.len() < needed {
        return Err(format!("Incorrect number of arguments, {}", query.args.len()));
    }
    let denied = |of: &str, reason| format!("access denied for [{function}]{of}: {reason}");
    match function.as_ref() {
        "GetChannels" => {
            query.check_member("Members").map_err(|reason| denied("", reason))?;
            let channel = ChannelInfo { channel_id: query.node.channel.clone() };
            Ok(ChannelQueryResponse { channels: vec![channel] }.encode_to_vec())
        }
        "GetConfigBlock" => {
            let channel = query.text(1);
            query.check_reader(&channel).map_err(|e| denied(&format!("[{channel}]"), e))?;
            config_block(query)
        }
        "GetChannelConfig" => {
            let channel = query.text(1);
            if channel.is_empty() {
                return Err("empty channel name provided".to_owned());
            }
            query.check_reader(&channel).map_err(|e| denied(&format!("[{channel}]"), e))?;
            channel_config(query)
        }
        "JoinBySnapshotStatus" => {
            query.check_admin().map_err(|reason| denied("", reason))?;
            // An empty status: no join is in progress.
            Ok(Vec::new())
        }
        "JoinChain" | "JoinChainBySnapshot" => {
            query.check_admin().map_err(|reason| denied("", format!("[{reason}]")))?;
            Err("this peer has its one channel and joins no other".to_owned())
        }
        _ => Err(format!("Requested function {function} not found.")),
    }
}

fn config_block(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let block = query.block(CONFIG_BLOCK).map_err(|error| error.to_string())?;
    block.ok_or_else(|| "the configuration block is missing".to_owned())
}

fn channel_config(query: &Query<'_>) -> Result<Vec<u8>, String> {
    let block = config_block(query)?;
    let config = Block::decode(block.as_slice())
        .ok()
        .and_then(|block| block.data?.data.into_iter().next())
        .and_then(|entry| Envelope::decode(entry.as_slice()).ok())
        .and_then(|envelope| Payload::decode(envelope.payload.as_slice()).ok())
        .and_then(|payload| ConfigEnvelope::decode(payload.data.as_slice()).ok()?.config);
    let config = config.ok_or("the configuration block is damaged")?;
    Ok(config.encode_to_vec())
}
