//! Where responses and conversations are kept: a SQLite file in the state directory, unless the configuration says
//! otherwise.

use anyhow::Context as _;
use camino::Utf8Path;
use portcullis_store_sql::{DatabaseUrl, SqlStore};
use secrecy::ExposeSecret as _;

use crate::config::Config;

/// Opens the database and brings it up to date.
pub(crate) async fn open(config: &Config, state: &Utf8Path) -> anyhow::Result<SqlStore> {
    let url = match &config.store.url {
        Some(url) => url.expose_secret().parse::<DatabaseUrl>().context("[store] url is not usable")?,
        None => {
            format!("sqlite:{}", state.join("responses.db")).parse().context("the state directory's name")?
        }
    };
    SqlStore::open(&url).await.context("the database of responses could not be opened")
}
