//! Where the database is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Where the database is: `sqlite:<path>` or `postgres://…`.
///
/// The path is taken as it is, without escapes or options. What a PostgreSQL URL leaves open is taken from `PGHOST`
/// and the like and from `.pgpass`, as with every PostgreSQL client.
#[derive(Clone)]
pub struct DatabaseUrl(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Sqlite(Utf8PathBuf),
    Postgres(SecretString),
}

/// Why a text is not a [`DatabaseUrl`]. Never repeats it, since it may carry a password.
#[derive(Debug, thiserror::Error)]
pub enum BadUrl {
    /// It begins with something else.
    #[error("the database is neither `sqlite:<path>` nor `postgres://…`")]
    Scheme,
    /// A database in memory would have no file; `portcullis_store::Memory` is for that.
    #[error("the SQLite database has no path")]
    NoPath,
    /// It is not the URL of a PostgreSQL database.
    #[error("the URL of the PostgreSQL database cannot be understood")]
    Postgres(#[source] sqlx::Error),
    /// The connection would leave the machine unencrypted without anybody having said so.
    #[error(
        "the connection to `{host}` would not be encrypted\n\
         (hint: use a local tunnel or a Unix socket, or add `?sslmode=disable` if the network may read it)"
    )]
    Unencrypted {
        /// The host.
        host: String,
    },
}

impl FromStr for DatabaseUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = Utf8Path::new(path.strip_prefix("//").unwrap_or(path));
            if path.file_name().is_none() || path == ":memory:" {
                return Err(BadUrl::NoPath);
            }
            return Ok(Self(Kind::Sqlite(path.to_owned())));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(BadUrl::Scheme);
        }
        let options = PgConnectOptions::from_str(text).map_err(BadUrl::Postgres)?;
        let said = !matches!(options.get_ssl_mode(), PgSslMode::Prefer | PgSslMode::Allow);
        if !said && !is_local(&options) {
            return Err(BadUrl::Unencrypted { host: options.get_host().to_owned() });
        }
        Ok(Self(Kind::Postgres(SecretString::from(text))))
    }
}

impl Kind {
    /// The URL as sqlx wants it. Every byte of the path that could mean something in a URL is escaped.
    pub(crate) fn for_sqlx(&self) -> SecretString {
        match self {
            Self::Postgres(url) => url.clone(),
            Self::Sqlite(path) => {
                // SQLite itself gives names like `file:…` a meaning, unless they stand in a directory.
                let path = if path.is_absolute() { path.clone() } else { Utf8Path::new(".").join(path) };
                let escape = |byte: u8| match byte {
                    b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
                    _ => format!("%{byte:02X}"),
                };
                let escaped: String = path.as_str().bytes().map(escape).collect();
                SecretString::from(format!("sqlite:{escaped}"))
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Sqlite(path) => write!(f, "sqlite:{path}"),
            Kind::Postgres(url) => match PgConnectOptions::from_str(url.expose_secret()) {
                Ok(options) => write!(f, "postgres://{}:{}/…", options.get_host(), options.get_port()),
                Err(_) => f.write_str("postgres://…"),
            },
        }
    }
}

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart_and_show_no_password() {
        let shown = |text: &str| text.parse::<DatabaseUrl>().map(|url| format!("{url:?}")).ok();
        assert_eq!(shown("sqlite:/a/b.db").as_deref(), Some("sqlite:/a/b.db"));
        assert_eq!(shown("sqlite:///a/b.db").as_deref(), Some("sqlite:/a/b.db"));
        let local = "postgres://me:secret@127.0.0.1:5433/db?password=secret";
        assert_eq!(shown(local).as_deref(), Some("postgres://127.0.0.1:5433/…"));
        assert!(shown("postgresql://me@[::1]/db").is_some());
        assert!(shown("postgres:///db?host=/run/postgresql").is_some());
        assert!(shown("postgres://me@db.example/db?sslmode=disable").is_some());
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong() {
        let error = |text: &str| text.parse::<DatabaseUrl>().map(|_| ()).unwrap_err();
        assert!(matches!(error("mysql://x"), BadUrl::Scheme));
        assert!(matches!(error("/a/b.db"), BadUrl::Scheme));
        for path in ["sqlite:", "sqlite:/", "sqlite::memory:", "sqlite:.."] {
            assert!(matches!(error(path), BadUrl::NoPath), "{path}");
        }
        assert!(matches!(error("postgres://h/db?sslmode=perhaps"), BadUrl::Postgres(_)));
        let remote = error("postgres://me:secret@db.example/db");
        assert!(matches!(&remote, BadUrl::Unencrypted { host } if host == "db.example"));
        assert!(!format!("{remote} {remote:?}").contains("secret"));
    }

    #[test]
    fn a_path_means_nothing_but_itself() {
        let escaped = |path: &str| Kind::Sqlite(path.into()).for_sqlx().expose_secret().to_owned();
        assert_eq!(escaped("/a b/../c?mode=ro#%.db"), "sqlite:%2Fa%20b%2F%2E%2E%2Fc%3Fmode%3Dro%23%25%2Edb");
        assert_eq!(escaped("file:x"), "sqlite:%2E%2Ffile%3Ax");
    }
}
