//! Pictures: OpenAI's Images API, and the older contract of image plug-ins, over an agent that draws.
//!
//! - [`openai`], [`plugin`]: the two wires, read and checked. Pure.
//! - [`multipart`], [`body`]: bodies within bounds.
//! - [`drawing`]: as many turns as pictures were asked for, all or none.
//! - [`answer`]: the answers, whose pictures are written as base64 piece by piece.
//! - [`routes`]: the handlers.

mod answer;
mod body;
mod drawing;
mod files;
mod multipart;
mod openai;
mod plugin;
pub(crate) mod plugin_routes;
pub(crate) mod routes;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use portcullis_agent::Agent;
use portcullis_images::Shelf;
use tokio::sync::Semaphore;

pub use wanted::SizePolicy;

/// How pictures are made and kept.
pub struct Pictures {
    /// Who draws.
    pub agent: Arc<dyn Agent>,
    /// What it can do.
    pub backend: Backend,
    /// Where pictures are kept that are fetched by a URL; nowhere, and answers then carry them whole.
    pub shelf: Option<Arc<Shelf>>,
    /// How requests are treated.
    pub settings: PictureSettings,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pictures")
            .field("backend", &self.backend)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What who draws can do.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// What the operator calls it.
    pub name: &'static str,
    /// The model of pictures behind it.
    pub model: &'static str,
    /// Sizes, qualities, masks and previews are honoured, and not only passed on as words.
    pub exact: bool,
    /// How many references one picture can be made from.
    pub references: usize,
}

/// How requests for pictures are treated.
#[derive(Clone, Debug)]
pub struct PictureSettings {
    /// How long one picture may take.
    pub deadline: Duration,
    /// The largest body, in bytes.
    pub body_limit: usize,
    /// How many pictures one request may ask for.
    pub most: usize,
    /// What happens to a picture of another size than was asked for, where the request does not say.
    pub size_policy: SizePolicy,
    /// What the URLs of kept pictures begin with, such as `http://127.0.0.1:8320`. Never taken from a request.
    pub base_url: String,
}

/// The same, with what bounds it.
pub(crate) struct Studio {
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) backend: Backend,
    pub(crate) shelf: Option<Arc<Shelf>>,
    pub(crate) settings: PictureSettings,
    /// Bodies that are held in memory, in pieces of [`body::PIECE`].
    pub(crate) bodies: Arc<Semaphore>,
    /// Conversions that run, each of which takes a processor and the memory of a picture's pixels.
    pub(crate) conversions: Arc<Semaphore>,
}

impl Studio {
    pub(crate) fn new(pictures: Pictures) -> Self {
        let Pictures { agent, backend, shelf, settings } = pictures;
        let bodies = Arc::new(Semaphore::new(body::pieces(settings.body_limit) * body::BODIES));
        Self { agent, backend, shelf, settings, bodies, conversions: Arc::new(Semaphore::new(2)) }
    }
}
