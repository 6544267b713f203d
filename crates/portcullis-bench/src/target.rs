//! Who is asked, and what an answer looked like.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::direct::Direct;
use crate::http::{Address, Connection};
use crate::wish::Wish;

/// An answer that takes longer has failed.
const LATE: Duration = Duration::from_mins(1);

/// Who is asked.
#[derive(Clone)]
pub(crate) enum Target {
    /// A server that speaks chat completions.
    Http(Address),
    /// An app-server on the other end of two pipes.
    Pipes(Arc<Direct>),
}

/// One answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// 200, or why not.
    pub(crate) status: u16,
    /// To the first byte of the body, or the first delta.
    pub(crate) first: Duration,
    /// To the end.
    pub(crate) whole: Duration,
    /// Text that came, in bytes.
    pub(crate) text: usize,
    /// How old each stamped delta was when it came.
    pub(crate) ages: Vec<Duration>,
}

/// One who asks, one question after the other.
pub(crate) enum Asker {
    Http { address: Address, connection: Option<Connection> },
    Pipes(Arc<Direct>),
}

impl Target {
    /// Connects.
    pub(crate) async fn asker(&self) -> anyhow::Result<Asker> {
        Ok(match self {
            Self::Http(address) => {
                Asker::Http { connection: Some(Connection::open(address).await?), address: address.clone() }
            }
            Self::Pipes(direct) => Asker::Pipes(Arc::clone(direct)),
        })
    }
}

impl Asker {
    /// Asks and reads the whole answer; times count from `since`.
    pub(crate) async fn ask(&mut self, wish: Wish, stream: bool, since: Instant) -> anyhow::Result<Answer> {
        match self {
            Self::Pipes(direct) => direct.ask(wish, since).await,
            Self::Http { address, connection } => {
                // A connection that failed, or whose answer was not read to its end, is not used again.
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => Connection::open(address).await?,
                };
                // Whoever does not answer must not stop the others from being measured.
                let answer = timeout(LATE, open.ask(wish, stream, since)).await??;
                *connection = Some(open);
                Ok(answer)
            }
        }
    }
}
