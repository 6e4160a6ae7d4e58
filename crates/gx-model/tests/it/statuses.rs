//! Statuses and what they allow.

use gx_model::AccountStatus::{self, *};
use gx_model::{AccountAccess, AttemptState, CommandStatus, DenialFinality, OnchainStatus};

#[test]
fn an_account_changes_status_only_by_the_table() {
    let table = [
        (Registered, PendingAdminApproval),
        (Denied, PendingAdminApproval),
        (PendingAdminApproval, ApprovedPendingOnchain),
        (PendingAdminApproval, Denied),
        (ApprovedPendingOnchain, Active),
        (ApprovedPendingOnchain, PendingAdminApproval),
        (Active, Frozen),
        (Frozen, Active),
        (Active, Suspended),
        (Frozen, Suspended),
        (Suspended, Active),
        (Suspended, Frozen),
    ];
    for from in AccountStatus::ALL {
        for to in AccountStatus::ALL {
            let allowed = table.contains(&(from, to)) || (to == Closed && from != Closed);
            assert_eq!(from.may_become(to), allowed, "{from} to {to}");
        }
    }
}

#[test]
fn a_status_decides_what_a_person_may_do() {
    let retry = Some(DenialFinality::Retry);
    for status in [Registered, PendingAdminApproval, ApprovedPendingOnchain, Active] {
        assert_eq!(status.access(None), AccountAccess::Full);
    }
    assert_eq!(Frozen.access(None), AccountAccess::LookOnly);
    assert_eq!(Denied.access(retry), AccountAccess::KycOnly);
    for finality in [None, Some(DenialFinality::Final)] {
        assert_eq!(Denied.access(finality), AccountAccess::Refused);
        assert!(!Denied.may_sign_in(finality));
    }
    assert!(!Suspended.may_sign_in(retry));
    assert!(!Closed.may_sign_in(retry));
}

#[test]
fn names_are_the_same_in_sql_and_json() {
    macro_rules! check {
        ($($type:ident),*) => {$(for value in gx_model::$type::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), serde_json::json!(value.name()));
            assert_eq!(gx_model::$type::from_name(value.name()), Some(value));
            assert_eq!(value.to_string().parse(), Ok(value));
        })*};
    }
    check!(AccountStatus, OnchainStatus, CommandStatus, AttemptState, DenialFinality, Gender);
    check!(
        SubmissionStatus,
        TaskState,
        CommandKind,
        SignerRole,
        TxType,
        RejectionCode,
        GrantRefusal
    );
    assert!("active".parse::<AccountStatus>().is_err());
    assert_eq!(AttemptState::Abandoned.name(), "ABANDONED");
    assert_eq!(OnchainStatus::NotRegistered.name(), "NOT_REGISTERED");
}

#[test]
fn only_statuses_that_never_change_are_final() {
    use CommandStatus::{Committed, CommittedUnverified, Discarded, Refused};
    let expected = [Committed, CommittedUnverified, Refused, Discarded];
    assert!(CommandStatus::ALL.into_iter().filter(|status| status.is_final()).eq(expected));
}
