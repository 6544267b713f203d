//! `/v1/chat/completions`.

mod answer;
mod completion;
mod fields;
mod images;
mod limits;
mod messages;
mod request;
mod stop;
mod stream;
mod tools;

pub use answer::{Choice, Failure, Finish, Step};
pub use completion::Completion;
pub use fields::{FIELDS, Field, Treatment};
pub use images::{ImagePolicy, sniff_image};
pub use limits::{Limits, Sampling};
pub use request::{ChatRequest, Format};
pub use stream::{ChatStream, StreamHead};
pub use tools::ToolChoice;

pub(crate) use request::{check_fields, service_tier};
pub(crate) use tools::{choice_word, keep as keep_tools, spec as tool_spec};
