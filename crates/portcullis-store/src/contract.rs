//! What every implementation must do, as a suite that all of them run.
//!
//! [`contract_tests!`](crate::contract_tests) makes one test of each case. A case gets an empty store of its own.

mod conversations;
mod hostile;
mod housekeeping;
mod ledger;
mod paging;
mod responses;
pub mod support;

pub use conversations::*;
pub use hostile::*;
pub use housekeeping::*;
pub use ledger::*;
pub use paging::*;
pub use responses::*;

use crate::{Conversations, Ledger, Responses};

/// A store of every kind, as the cases need it.
pub trait Store: Responses + Conversations + Ledger + 'static {}

impl<S: Responses + Conversations + Ledger + 'static> Store for S {}

/// Makes a test of every case. `$fresh` is an async function that makes an empty store and what must live as long, or
/// `None` if there is no database to test with.
#[macro_export]
macro_rules! contract_tests {
    ($fresh:path) => {
        $crate::contract_tests! { $fresh =>
            a_response_is_read_back_as_it_was_stored
            an_id_is_given_out_once
            finishing_replaces_body_and_output
            events_are_idempotent_and_resume_behind_a_number
            a_chain_is_read_oldest_first
            an_item_is_found_by_its_id
            a_broken_or_endless_chain_is_an_error
            what_is_gone_takes_no_writes
            principals_do_not_see_each_other
            input_items_page_in_both_orders
            conversation_items_page_in_both_orders
            an_unknown_cursor_is_an_error
            a_conversation_keeps_its_items_in_order
            an_item_id_is_in_a_conversation_once
            unfinished_responses_fail
            old_responses_expire
            shrinking_removes_the_oldest_finished
            sizes_follow_every_change
            concurrent_writers_lose_nothing
            hostile_texts_are_kept_exactly
            what_cannot_be_stored_is_refused_and_not_found
            what_was_used_adds_up
            what_was_used_is_added_whole_or_not
            too_many_sums_are_an_error
        }
    };
    ($fresh:path => $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some((store, _keep)) = $fresh().await {
                    $crate::contract::$case(store).await;
                }
            }
        )*
    };
}
