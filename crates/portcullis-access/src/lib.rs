//! Who is calling and what they may do: API keys, stored as hashes.
//!
//! A [`Grant`] says what a key may do: its profile, models, scopes, limits and end.
//!
//! [`KeyStore`] is what the `key` commands use: create, list, rotate, revoke. [`Keys`] is what a running gateway uses:
//! it turns a presented key into a [`Principal`] and notices at once when the key file changes, so that a revoked
//! key stops working without a restart. Only SHA-256 of a key is ever stored. A key is 256 random bits, so a slow
//! password hash would add nothing.

mod error;
mod file;
mod grant;
mod key_text;
mod keys;
mod rates;
mod store;
mod stored_grant;

pub use error::KeyError;
pub use grant::{Grant, KeyLimits, Scope, UnknownScope};
pub use keys::{Keys, Principal, Unauthenticated, Weakness};
pub use rates::{Exceeded, Rates, Share, Standing};
pub use store::{KeyInfo, KeyStore, NewKey};
