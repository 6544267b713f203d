//! `/v1/responses`: requests, items, and the events and objects that answers are made of.

mod builder;
mod fields;
mod items;
mod output;
mod request;
mod tools;

pub use builder::{Ending, Event, ResponseBuilder};
pub use fields::FIELDS;
pub use items::{InputItem, check_calls, read_items, stored_item};
pub use request::{Include, ResponseRequest};
pub use tools::CustomTools;
