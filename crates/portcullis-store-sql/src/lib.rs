//! What a gateway remembers, in SQLite or PostgreSQL; the only crate with SQL.
//!
//! [`SqlStore::open`] connects, brings the schema up to date and gives a store that implements the traits of
//! `portcullis-store`.
//!
//! One set of queries serves both databases: they are written in what the two have in common, with the columns
//! `BIGINT` and `TEXT` only, and go through sqlx's `Any` driver. Only the migrations exist twice. The price is that
//! queries are checked by the tests and not by the compiler, and that every text is copied once more.
//!
//! SQLite has one writer at a time, so all writes go through one connection, in turn: nobody is ever told that the
//! database is locked. Readers have connections of their own and do not wait for the writer.

mod conversations;
mod error;
#[cfg(test)]
mod full_disk;
mod items;
mod ledger;
mod migrations;
mod open;
mod responses;
mod sqlite_file;
mod url;

pub use migrations::MigrationError;
pub use open::{OpenError, SqlStore};
pub use url::{BadUrl, DatabaseUrl};
