//! The submitter: makes ledger transactions from committed commands.
//!
//! A step leases lanes, forms batches, counts a try for each, has each batch endorsed, stores the
//! signed envelope and sends it; several batches are in flight at a time. A step never waits for a
//! commit: the projector settles what blocks contain, and open attempts are sent again until a
//! block has them.
//!
//! A failure of everything makes the submitter back off and ends no command. If a process dies
//! between any two of these steps, each command still takes effect once.
//!
//! `gx outbox-submitter` calls [`run()`]; tests and the simulation call [`Submitter::step`].
//!
//! | Hazard | Handled in | Test |
//! |---|---|---|
//! | a wake-up is lost | `run`: `acquire` registers before the step looks; the step is also repeated after a pause | `running::a_command_that_commits_just_before_the_loop_waits_is_sent_unpolled`, `gx_serve::worker_loop::tests::a_wake_up_during_a_step_is_not_lost` |
//! | two submitters take one command | `gx_outbox::submitter`: lanes with fencing tokens | `lanes::four_submitters_send_each_of_200_commands_once`, `lanes::a_stale_owner_cannot_complete_a_command` |
//! | death before the envelope is stored | `submitter::claim`: a counted try (`OutboxTry`) that another process finds | `storing::a_try_that_another_process_finds_is_charged` |
//! | death after the envelope is stored or sent | `submitter::resend`: open attempts are sent again, the same bytes | `crash::workers_that_die_anywhere_lose_and_double_nothing`, `once::a_lost_reply_costs_nothing` |

mod archive;
mod contract_call;
mod endorse_failure;
mod error;
mod evidence;
mod health;
mod outage;
mod recent_failures;
mod run;
mod settings;
mod shared_state;
mod submitter;
mod suspects;

pub use error::{Halt, SubmitterError};
pub use run::run;
pub use settings::{SettingsError, SubmitterSettings};
pub use submitter::{Progress, Signers, Submitter, SubmitterContext};
