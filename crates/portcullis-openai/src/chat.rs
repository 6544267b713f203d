//! `/v1/chat/completions`.

mod answer;
mod completion;
mod fields;
mod images;
mod messages;
mod request;
mod stop;
mod stream;
mod tools;

pub use answer::{Choice, Failure, Finish, Step};
pub use completion::Completion;
pub use fields::{FIELDS, Field, Treatment};
pub use images::ImagePolicy;
pub use request::{ChatRequest, Format, Limits, Sampling, ToolChoice};
pub use stream::{ChatStream, StreamHead};

pub(crate) use request::{check_fields, service_tier};
pub(crate) use tools::{choice_word, keep as keep_tools, spec as tool_spec};
