//! Applies blocks: reads what they say, and writes rows, event log, settlements and checkpoint in
//! one SQL transaction. Called by the projector's step for the live rows, and by a rebuild for the
//! copies.

pub(crate) mod adoption;
mod block;
mod block_reader;
mod effects;
mod events;
mod new_people;
mod read;
mod row_plan;
mod settings;
mod single_events;
pub(crate) mod store;

pub use self::block::{Applied, apply_block, apply_blocks};
pub(crate) use self::block_reader::BlockReader;
pub(crate) use self::events::{ApplyResult, apply_all};
pub use self::read::ReadBlock;
pub(crate) use self::read::{ReadEvent, stored_number};
pub use self::settings::{ApplySettings, Decode};
