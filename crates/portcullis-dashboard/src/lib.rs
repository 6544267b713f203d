//! The operator's dashboard, under `/dashboard`: pages that are rendered here and need nothing from elsewhere.
//!
//! Knows: pages, sessions, forms. Does not know: Codex, OpenAI's API, how the gateway is put together. What a page shows
//! comes from [`Parts`].
//!
//! It has a login of its own: a one-time code that a command on the machine makes ([`issue_code`]), and a session in a
//! cookie. An API key opens nothing here, and a session opens nothing under `/v1`.

mod actions;
mod chart;
mod code;
mod gallery;
mod guard;
mod pages;
mod parts;
mod routes;
mod session;
mod token;
mod views;

pub use code::{CodeError, issue_code};
pub use gallery::{Gallery, KeptPicture, KeptPictures, PictureShelf};
pub use parts::{Fact, Parts, SignIn, SignInState, Weakening};
pub use routes::router;
