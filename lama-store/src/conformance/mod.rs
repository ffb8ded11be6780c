//! The suites that every engine passes: [`engine_conformance!`](crate::engine_conformance) asks an engine alone,
//! [`store_conformance!`](crate::store_conformance) a store on top of it.
//!
//! Both macros make a module of tests from a [`Place`]: somewhere an engine can be opened, closed and opened again.
//!
//! ```
//! # // The macros make tests, so there is nothing to run here.
//! use lama_store::conformance::MemoryPlace;
//!
//! lama_store::engine_conformance!(memory_engine, MemoryPlace);
//! lama_store::store_conformance!(memory_store, MemoryPlace);
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)] // each test says by its name what it shows
#![allow(clippy::cloned_ref_to_slice_refs)] // `&[object.clone()]` reads better in a test

pub mod amending;
pub mod channels;
pub mod collecting;
pub mod engines;
pub mod fixture;
pub mod groups;
pub mod lanes;
pub mod records;
pub mod repair;
pub mod revoking;
pub mod sealed;
pub mod sharing;
pub mod sketches;
pub mod taking;

use crate::{Engine, Memory, StoreError};

/// Somewhere an engine can be opened again and again. `Default` gives a new, empty place.
pub trait Place: Default {
    /// The engine that lives there.
    type Engine: Engine;

    /// Opens it as the last [`Place::keep`] or crash left it.
    ///
    /// # Errors
    /// The engine's.
    fn open(&mut self) -> Result<Self::Engine, StoreError>;

    /// Takes the engine back; for an engine on disk that means to close it.
    fn keep(&mut self, engine: Self::Engine);
}

/// A place for [`Memory`]: it keeps the maps.
#[derive(Debug, Default)]
pub struct MemoryPlace(Memory);

impl Place for MemoryPlace {
    type Engine = Memory;

    fn open(&mut self) -> Result<Memory, StoreError> {
        Ok(self.0.clone())
    }

    fn keep(&mut self, engine: Memory) {
        self.0 = engine;
    }
}

/// Makes a module of tests that ask an engine alone: `engine_conformance!(name, Place)`.
#[macro_export]
macro_rules! engine_conformance {
    ($name:ident, $place:ty) => {
        mod $name {
            use super::*;
            $crate::engine_suites!([$crate::conformance_tests] $place);
        }
    };
}

/// Makes a module of tests that ask a store on top of an engine: `store_conformance!(name, Place)`.
#[macro_export]
macro_rules! store_conformance {
    ($name:ident, $place:ty) => {
        mod $name {
            use super::*;
            $crate::store_suites!([$crate::conformance_tests] $place);
        }
    };
}

/// Every test with its name, for a place where there is no test runner: `conformance_list!(Place)` is a
/// `Vec<(&str, fn())>`.
#[macro_export]
macro_rules! conformance_list {
    ($place:ty) => {
        [
            $crate::engine_suites!([$crate::conformance_rows] $place),
            $crate::store_suites!([$crate::conformance_rows] $place),
        ]
        .concat()
    };
}

/// What an engine alone is asked.
#[doc(hidden)]
#[macro_export]
macro_rules! engine_suites {
    ([$($callback:tt)+] $place:ty) => {
        $($callback)+! { $place;
            engines: batches_are_read_back, keys_are_ordered_bytes, scans_go_both_ways_and_stop,
                the_last_change_of_a_batch_counts, tables_are_apart,
                what_was_committed_is_there_after_opening_again, large_values_come_back,
                random_batches_equal_the_model;
        }
    };
}

/// What a store on top of an engine is asked.
#[doc(hidden)]
#[macro_export]
macro_rules! store_suites {
    ([$($callback:tt)+] $place:ty) => {
        $($callback)+! { $place;
            records: one_of_two_who_race_for_a_token_wins, a_conflict_changes_nothing,
                a_commit_that_fails_leaves_no_trace_and_disturbs_no_other, reads_see_the_commits_before_them,
                contacts_trust_peers_and_settings_come_back, a_removed_contact_takes_his_records_along,
                the_epoch_lives_until_a_crash_or_a_restore, limits_of_records_are_kept,
                a_newer_format_is_refused_and_so_is_what_is_no_store;
            sealed: secrets_reach_no_engine_in_clear, another_key_is_told_and_changes_nothing,
                a_sealed_row_opens_in_its_own_place_alone, a_store_of_format_1_is_brought_up_to_date,
                an_index_of_format_3_is_written_as_segments, a_copy_holds_what_the_store_says;
            repair: there_is_nothing_to_mend_in_a_sound_store, an_index_that_is_gone_is_built_from_the_logs,
                counts_and_fingerprints_are_computed_anew, what_is_lost_is_said_and_comes_back,
                a_record_whose_length_is_damaged_hides_no_other, tombstones_and_revocations_outlive_a_repair,
                what_an_older_store_lacks_is_made_from_its_objects;
            taking: objects_put_here_are_read_back, objects_of_every_size_come_back,
                an_object_put_twice_is_stored_once, what_an_own_object_links_to_must_be_here,
                an_import_is_in_the_view_once_with_its_source, the_cursor_moves_with_the_import,
                a_hole_in_the_log_is_refused, strangers_and_pending_contacts_bring_nothing,
                not_canonical_is_the_peers_fault, an_object_waits_for_its_link_and_wakes_up_its_own_waiters,
                an_import_that_overtakes_moves_its_own_lane, quotas_refuse_but_count,
                the_index_survives_merging_and_opening_again;
            lanes: a_page_is_of_the_lanes_that_were_asked_for, what_others_wrote_is_in_a_lane_of_its_own,
                places_differ_from_lane_to_lane,
                what_was_given_of_one_lane_stays_and_the_others_can_be_taken_back,
                what_is_staged_becomes_durable_together, a_commit_that_fails_leaves_what_was_staged_before_it;
            sharing: children_go_before_parents, references_are_not_followed, a_link_of_a_stranger_serves_nobody,
                what_cannot_be_shared_says_why, an_id_stands_in_a_view_once, pages_are_bounded_and_join,
                both_ends_come_to_the_same_fingerprint, a_new_pair_key_rebuilds_the_fingerprint,
                acknowledgements_may_wait, a_second_instance_gets_what_the_first_brought;
            sketches: a_sketch_is_that_of_its_view, a_record_from_before_sketches_gets_one_when_it_is_read,
                a_wrong_sketch_is_found_by_a_sample_and_by_a_check,
                entries_are_found_behind_short_ids_from_the_end_on,
                what_was_agreed_on_outlives_the_life_in_which_it_was;
            revoking: what_nobody_has_seen_leaves_without_a_trace, ids_that_were_compared_can_be_taken_back,
                what_was_sent_stays_and_is_sent_no_more, what_else_grants_it_stays, what_they_brought_stays,
                what_is_deleted_is_told_to_whoever_has_it, gone_proves_nothing,
                what_several_brought_goes_when_all_of_them_say_so, what_they_call_gone_can_still_be_revoked,
                what_waits_for_what_is_gone_wakes_up, what_is_gone_overtakes_nothing_that_was_relayed,
                what_they_call_gone_and_is_shown_here_is_offered_again, what_they_said_is_gone_is_said_back,
                what_is_deleted_is_told_whether_it_was_sent_or_not, random_grants_converge, why_an_object_does_not_arrive,
                each_contact_has_a_quota, a_crash_forgets_what_was_sent_and_both_converge;
            collecting: what_was_deleted_loses_its_bytes_and_stays_deleted, what_somebody_brings_back_is_here_again,
                what_nobody_holds_is_collected_and_nothing_else, what_a_contact_brought_is_kept_for_so_many_days,
                what_a_rule_or_an_index_names_is_held;
            groups: a_group_is_written_by_its_owner_and_his_admins, members_come_and_go_and_so_do_objects,
                a_later_version_of_a_rule_takes_back, a_rule_for_a_channel_brings_its_entries,
                what_the_author_did_not_write_is_not_his_to_grant, what_is_put_here_too_is_not_its_bringers_to_grant,
                rules_of_ours_are_ours_whoever_brings_them;
            channels: the_order_does_not_depend_on_arrival, an_entry_that_is_not_after_what_it_names_does_not_count,
                only_members_write, a_forged_entry_is_not_in_the_channel,
                an_entry_waits_for_its_channel_and_its_author, channel_pages_join,
                heads_far_in_the_future_are_left_out, endpoints_of_contacts_are_known_and_of_strangers_not,
                the_newest_endpoint_counts, endpoints_are_merged_by_the_written_rule_in_every_order,
                nobody_follows_the_endpoint_of_another, an_access_rule_works_for_what_its_author_authored_alone,
                an_access_rule_may_come_before_its_object;
            amending: an_author_edits_and_deletes_and_a_deletion_is_final, nobody_edits_what_another_wrote,
                a_channel_reads_the_same_in_every_order_of_arrival, pages_stay_where_they_are_while_entries_arrive,
                unread_entries_are_those_that_arrived_since;
        }
    };
}

/// Suites as modules of tests.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    (@suite $place:ty; $suite:ident: $($test:ident),+) => {
        $(
            #[test]
            fn $test() {
                $crate::conformance::$suite::$test::<$place>();
            }
        )+
    };
    ($place:ty; $($suite:ident: $($test:ident),+;)+) => {
        $(
            mod $suite {
                #[allow(unused_imports)]
                use super::*;
                $crate::conformance_tests!(@suite $place; $suite: $($test),+);
            }
        )+
    };
}

/// Suites as a list of names and functions.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_rows {
    (@suite $place:ty; $suite:ident: $($test:ident),+) => {
        vec![$((
            concat!(stringify!($suite), "::", stringify!($test)),
            $crate::conformance::$suite::$test::<$place> as fn(),
        )),+]
    };
    ($place:ty; $($suite:ident: $($test:ident),+;)+) => {
        [$($crate::conformance_rows!(@suite $place; $suite: $($test),+)),+].concat()
    };
}
