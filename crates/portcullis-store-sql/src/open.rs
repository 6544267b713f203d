//! Connecting and closing.

use std::fmt;
use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;
use secrecy::ExposeSecret as _;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

use crate::migrations::{Dialect, migrate};
use crate::url::{DatabaseUrl, Kind};
use crate::{MigrationError, sqlite_file};

/// For every connection to SQLite, in this order.
///
/// `auto_vacuum` comes before the first page is written, or it has no effect. `secure_delete`: what was deleted is
/// overwritten, not just unlinked. A busy timeout matters only when another program has the file open.
const SQLITE: &str = "
    PRAGMA busy_timeout = 10000;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    PRAGMA secure_delete = ON;
    PRAGMA journal_size_limit = 67108864;
";

const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 10;

/// How long a call waits for a connection before the store counts as unavailable.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is kept, in a database. Clones share the connections.
#[derive(Clone)]
pub struct SqlStore {
    /// With SQLite a single connection; with PostgreSQL the same pool as `reader`.
    pub(crate) writer: AnyPool,
    pub(crate) reader: AnyPool,
    pub(crate) dialect: Dialect,
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its directory cannot be used.
    #[error("failed to open `{path}`")]
    File {
        /// The file or directory.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner can reach what is in it.
    #[error("`{path}` is open to others (mode {mode:o})\n(hint: chmod go= '{path}')")]
    Exposed {
        /// The file or directory.
        path: Utf8PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The database does not answer, or not as a database.
    #[error("failed to connect to the database")]
    Connect(#[source] sqlx::Error),
    /// Its texts are not Unicode.
    #[error(
        "the database is encoded as `{encoding}`\n(hint: create it with ENCODING 'UTF8' TEMPLATE template0)"
    )]
    Encoding {
        /// Its encoding.
        encoding: String,
    },
    /// Its schema is not ours and cannot become so.
    #[error(transparent)]
    Migrate(#[from] MigrationError),
}

impl SqlStore {
    /// Connects, and brings the schema up to date.
    ///
    /// An SQLite file is created if its directory exists; neither may be open to others than their owner.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        // The one global that sqlx's `Any` needs; calling it again does nothing.
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions =
            url.0.for_sqlx().expose_secret().parse().map_err(OpenError::Connect)?;
        match &url.0 {
            Kind::Sqlite(path) => {
                sqlite_file::prepare(path)?;
                probe(&options, SQLITE).await?;
                let writer = sqlite_pool(1, SQLITE).connect_with(options.clone()).await;
                let writer = writer.map_err(OpenError::Connect)?;
                migrate(&writer, Dialect::Sqlite).await?;
                let reader = sqlite_pool(READERS, "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON;");
                let reader = reader.connect_with(options).await.map_err(OpenError::Connect)?;
                Ok(Self { writer, reader, dialect: Dialect::Sqlite })
            }
            Kind::Postgres(_) => {
                probe(&options, "SELECT 1").await?;
                let pool =
                    pool(POSTGRES_CONNECTIONS).connect_with(options).await.map_err(OpenError::Connect)?;
                let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
                    .fetch_one(&pool)
                    .await
                    .map_err(OpenError::Connect)?;
                if encoding != "UTF8" {
                    return Err(OpenError::Encoding { encoding });
                }
                migrate(&pool, Dialect::Postgres).await?;
                Ok(Self { writer: pool.clone(), reader: pool, dialect: Dialect::Postgres })
            }
        }
    }

    /// Waits for the calls that are under way and disconnects; later calls fail. SQLite's log is written back into
    /// its file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Begins to write. Dropping the transaction undoes it.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.dialect {
            // A transaction that turns into a writing one later can find the database changed by another program.
            Dialect::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.writer.begin().await,
        }
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

/// Connects once without a pool: a pool tries again until its patience ends and then does not say why.
async fn probe(options: &AnyConnectOptions, sql: &'static str) -> Result<(), OpenError> {
    let probe = async {
        let mut connection = AnyConnection::connect_with(options).await?;
        connection.execute(sqlx::raw_sql(sql)).await?;
        connection.close().await
    };
    probe.await.map_err(OpenError::Connect)
}

fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE).before_acquire(
        |connection, _| {
            // When the disk is full SQLite undoes the transaction by itself, and sqlx 0.9 then believes forever that it
            // is still in one. Such a connection is thrown away.
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        },
    )
}

fn sqlite_pool(connections: u32, pragmas: &'static str) -> AnyPoolOptions {
    pool(connections).min_connections(1).idle_timeout(None).max_lifetime(None).after_connect(
        move |connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(pragmas)).await.map(drop) })
        },
    )
}
