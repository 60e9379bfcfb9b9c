//! The table of JOB-T1..T34, one row per rule, each row a test of its own.
//!
//! Knows: the rules by their ids. Does not know: how the table is written.

use super::State::{
    Acknowledged, Cancelled, Connecting, Error, Queued, Suspended, Transferred, Transferring, TransientError,
};
use super::{Cause, Refusal, State};

const LIVE: [State; 7] = [Queued, Connecting, Transferring, Suspended, Error, TransientError, Transferred];
const GO_ON: Cause = Cause::Resume { has_files: true, is_whole: false };
const GO_ON_WHOLE: Cause = Cause::Resume { has_files: true, is_whole: true };
const GO_ON_EMPTY: Cause = Cause::Resume { has_files: false, is_whole: false };

const CAUSES: [Cause; 34] = [
    GO_ON,
    GO_ON_WHOLE,
    GO_ON_EMPTY,
    Cause::Suspend,
    Cause::Complete,
    Cause::DeliveryFailed,
    Cause::Cancel,
    Cause::FilesAdded,
    Cause::Picked,
    Cause::Connected,
    Cause::CannotConnect,
    Cause::SliceEnded,
    Cause::Preempted,
    Cause::AllDone,
    Cause::FailedForNow,
    Cause::Failed,
    Cause::RetryDue,
    Cause::NetworkUp,
    Cause::NoProgress,
    Cause::NetworkLost,
    Cause::OwnerLoggedOff,
    Cause::LimitZero,
    Cause::LimitLifted,
    Cause::CostForbidden,
    Cause::CostAllowed,
    Cause::ConditionEnded,
    Cause::Inactive,
    Cause::TimeOver,
    Cause::FlagsToggled,
    Cause::RangesDone,
    Cause::FileInvalid { from_peer: false },
    Cause::FileInvalid { from_peer: true },
    Cause::IdentityLost,
    Cause::Resume { has_files: false, is_whole: true },
];

/// One test per row: the states a rule starts from, its cause, and where that leads.
macro_rules! rules {
    ($($rule:ident: $from:expr, $cause:expr => $to:expr;)+) => {
        $(#[test]
        fn $rule() {
            for from in $from {
                assert_eq!(from.after($cause), $to, "{from:?}");
            }
        })+
    };
}

rules! {
    job_t2_resume_queues_a_job_with_a_file: [Suspended], GO_ON => Ok(Queued);
    job_t3_resume_refuses_a_job_without_files: [Suspended], GO_ON_EMPTY => Err(Refusal::Empty);
    job_t4_the_scheduler_picks_a_queued_job: [Queued], Cause::Picked => Ok(Connecting);
    job_t5_a_source_is_there: [Connecting], Cause::Connected => Ok(Transferring);
    job_t6_no_source_is_there_for_now: [Connecting], Cause::CannotConnect => Ok(TransientError);
    job_t7_a_slice_ends: [Transferring, Connecting], Cause::SliceEnded => Ok(Queued);
    job_t8_a_higher_priority_preempts: [Transferring, Connecting], Cause::Preempted => Ok(Queued);
    job_t9_all_files_are_done: [Transferring], Cause::AllDone => Ok(Transferred);
    job_t10_a_failure_that_may_pass: [Connecting, Transferring], Cause::FailedForNow => Ok(TransientError);
    job_t11_a_failure_that_will_not_pass: [Connecting, Transferring], Cause::Failed => Ok(Error);
    job_t12_the_retry_delay_is_over: [TransientError], Cause::RetryDue => Ok(Queued);
    job_t13_the_network_comes_up: [TransientError], Cause::NetworkUp => Ok(Queued);
    job_t14_no_progress_for_too_long: [TransientError], Cause::NoProgress => Ok(Error);
    job_t15_resume_retries_at_once: [TransientError, Error], GO_ON => Ok(Queued);
    job_t17_suspend_stops_any_job: LIVE, Cause::Suspend => Ok(Suspended);
    job_t18_the_network_is_lost: [Queued, Transferring, Connecting], Cause::NetworkLost => Ok(TransientError);
    job_t19_the_owner_logs_off: [Connecting, Transferring], Cause::OwnerLoggedOff => Ok(Queued);
    job_t20_the_limit_becomes_zero: [Queued, Connecting, Transferring], Cause::LimitZero => Ok(TransientError);
    job_t20_the_limit_is_lifted: [TransientError], Cause::LimitLifted => Ok(Queued);
    job_t21_the_network_costs_too_much: [Queued, Connecting, Transferring], Cause::CostForbidden => Ok(TransientError);
    job_t21_the_network_is_cheap_again: [TransientError], Cause::CostAllowed => Ok(Queued);
    job_t22_files_were_added_to_a_whole_job: [Transferred], GO_ON => Ok(Queued);
    job_t23_complete_ends_any_job: LIVE, Cause::Complete => Ok(Acknowledged);
    job_t26_cancel_ends_any_job: LIVE, Cause::Cancel => Ok(Cancelled);
    job_t27_inactivity_ends_any_job: LIVE, Cause::Inactive => Ok(Cancelled);
    job_t29_the_time_in_all_is_over: [Connecting, Transferring], Cause::TimeOver => Ok(Error);
    job_t30_a_permission_is_toggled: [Transferring, Connecting], Cause::FlagsToggled => Ok(Queued);
    job_t31_the_ranges_asked_for_are_there: [Transferring], Cause::RangesDone => Ok(Suspended);
    job_t32_an_origins_file_is_invalid: LIVE, Cause::FileInvalid { from_peer: false } => Ok(Error);
    job_t32_a_peers_file_is_invalid: LIVE, Cause::FileInvalid { from_peer: true } => Ok(Queued);
    job_t33_the_identity_is_lost: [Queued, Connecting, Transferring, TransientError], Cause::IdentityLost => Ok(Error);
    job_t34_resume_finds_all_files_whole: [Suspended, Transferred], GO_ON_WHOLE => Ok(Transferred);
    job_t34_suspend_stops_a_whole_job: [Transferred], Cause::Suspend => Ok(Suspended);
    job_14_a_whole_job_stays_when_a_rename_fails: [Transferred], Cause::DeliveryFailed => Ok(Transferred);
    job_14_an_unfinished_job_stays_stopped_when_a_rename_fails:
        [Queued, Connecting, Transferring, TransientError], Cause::DeliveryFailed => Ok(Suspended);
    job_26_a_condition_has_ended: [TransientError], Cause::ConditionEnded => Ok(Queued);
}

#[test]
fn job_t1_a_new_job_is_suspended() {
    assert_eq!(State::default(), Suspended);
}

#[test]
fn job_t16_resume_changes_nothing_where_the_job_goes_on_already() {
    for state in [Queued, Connecting, Transferring] {
        assert_eq!(state.after(GO_ON), Ok(state));
    }
}

#[test]
fn job_t28_nothing_happens_to_a_job_that_is_over() {
    for state in [Acknowledged, Cancelled] {
        for cause in CAUSES {
            assert_eq!(state.after(cause), Err(Refusal::Final), "{state:?} {cause:?}");
        }
    }
}

#[test]
fn job_7_files_may_be_added_to_any_job_that_is_not_over() {
    for state in LIVE {
        assert_eq!(state.after(Cause::FilesAdded), Ok(state));
    }
}

#[test]
fn job_11_only_the_verbs_of_people_and_the_inactivity_end_a_job() {
    let ends = [Cause::Complete, Cause::Cancel, Cause::Inactive];
    for state in LIVE {
        for cause in CAUSES {
            let is_over = state.after(cause).is_ok_and(State::is_final);
            assert_eq!(is_over, ends.contains(&cause), "{state:?} {cause:?}");
        }
    }
}

#[test]
fn a_stopped_job_stays_stopped_whatever_was_still_on_its_way() {
    let late = [
        Cause::Picked,
        Cause::Connected,
        Cause::CannotConnect,
        Cause::SliceEnded,
        Cause::AllDone,
        Cause::FailedForNow,
        Cause::Failed,
        Cause::RetryDue,
        Cause::NetworkUp,
        Cause::NetworkLost,
        Cause::LimitLifted,
    ];
    for state in [Suspended, Error] {
        for cause in late {
            assert_eq!(state.after(cause), Err(Refusal::OutOfPlace), "{state:?} {cause:?}");
        }
    }
}

#[test]
fn every_state_can_be_reached_from_a_new_job() {
    let mut seen = vec![State::default()];
    let mut next = 0;
    while let Some(&state) = seen.get(next) {
        let found: Vec<State> = CAUSES.iter().filter_map(|cause| state.after(*cause).ok()).collect();
        for found in found {
            if !seen.contains(&found) {
                seen.push(found);
            }
        }
        next += 1;
    }
    seen.sort();
    assert_eq!(seen, State::ALL);
}

#[test]
fn states_are_written_as_one_word_each() {
    let text = serde_json::to_string(&[TransientError, Acknowledged]).unwrap();
    assert_eq!(text, r#"["transient-error","acknowledged"]"#);
    for state in State::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.name(), "people and programs read the same");
    }
}
