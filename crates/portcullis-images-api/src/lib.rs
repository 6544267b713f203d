//! [`portcullis_agent::Agent`] over OpenAI's Images API: what an operator chooses who has an API key and wants sizes,
//! qualities, masks and previews that are honoured.
//!
//! One turn is one request for one picture. Knows: the API's wire, the key. Does not know: where the key comes from.

mod agent;
mod events;
mod meaning;
mod request;

pub use agent::{ImagesApi, NoCertificates, Settings};
