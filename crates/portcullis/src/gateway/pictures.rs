//! Who makes pictures, from the configuration.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use portcullis_agent::{
    Admission, AdmissionLimits, Agent, Breaker, BreakerLimits, Deadline, Record, TurnBoard, TurnCounter,
    Watched,
};
use portcullis_audit::{Audit, Audited};
use portcullis_codex::{
    Cells, CodexBinary, Confinement, CustomProvider, MOST_REFERENCES, Painter, PainterSettings, Provider,
    give,
};
use portcullis_http::{Backend, Metrics, PictureSettings, Pictures};
use portcullis_images::{Shelf, ShelfLimits};
use portcullis_images_api::{ImagesApi, Settings as ApiSettings};
use portcullis_lab::ModelServer;

use super::lent::Lent;
use super::state::StateDir;
use super::upstream::read_key;
use crate::config::{Config, ImageBackend, KeepFor};

/// The model behind both backends.
const MODEL: &str = "gpt-image-2";
/// How many references OpenAI's API takes.
const API_REFERENCES: usize = 16;
/// From asking the worker to end to killing its group.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Who draws.
pub(super) enum Artist {
    /// A worker of its own.
    Codex(Arc<Painter>),
    /// A service.
    Api(Arc<ImagesApi>),
}

/// Who draws, and where it is kept.
pub(super) struct Studio {
    pub(super) artist: Artist,
    shelf: Option<Arc<Shelf>>,
    admission: AdmissionLimits,
    breaker: BreakerLimits,
    settings: PictureSettings,
}

/// What a worker that draws is started with.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) state: &'a StateDir,
    pub(super) binary: &'a CodexBinary,
    pub(super) confinement: &'a Confinement,
    pub(super) provider: &'a Provider,
    /// The built-in model, if it is the one.
    pub(super) lab: Option<&'a ModelServer>,
    /// What URLs begin with, where nothing else is configured.
    pub(super) base_url: String,
}

/// Starts whoever draws; nobody does where that is configured, and where the provider has no login to draw with.
pub(super) fn open(parts: Parts<'_>) -> anyhow::Result<Option<Studio>> {
    let config = &parts.config.images;
    let artist = match config.backend {
        ImageBackend::Off => return Ok(None),
        ImageBackend::Codex => match painter(&parts)? {
            Some(settings) => Artist::Codex(Arc::new(Painter::start(settings))),
            None => return Ok(None),
        },
        ImageBackend::OpenAi => {
            let path = config.key_file.as_deref().context("`images.key_file` is missing")?;
            let key = read_key("images.key_file", path)?;
            let base_url = config.base_url.as_str().to_owned();
            let settings = ApiSettings { base_url, key, turns: config.concurrent.get() };
            Artist::Api(Arc::new(ImagesApi::new(settings)?))
        }
    };
    let shelf = match config.keep {
        KeepFor::Off => None,
        KeepFor::Duration(age) => {
            let limits = ShelfLimits {
                age,
                bytes: config.keep_size.bytes(),
                principal_bytes: config.keep_per_key.bytes(),
            };
            let dir = parts.state.path().join("pictures");
            let shelf = Shelf::open(&dir, limits);
            Some(Arc::new(shelf.with_context(|| format!("failed to make `{dir}`"))?))
        }
    };
    let settings = PictureSettings {
        deadline: config.deadline,
        body_limit: usize::try_from(config.body.bytes()).unwrap_or(usize::MAX),
        most: config.most.get(),
        size_policy: config.size_policy,
        base_url: config.public_url.as_ref().map_or(parts.base_url, |url| url.as_str().to_owned()),
    };
    let at_once = config.concurrent.get();
    let limits = &parts.config.limits;
    let admission = AdmissionLimits {
        turns: at_once,
        profiles: [at_once; 3],
        queue: limits.queue.get(),
        wait: limits.queue_wait,
    };
    Ok(Some(Studio { artist, shelf, admission, breaker: parts.config.breaker, settings }))
}

/// With the login of whoever serves the model. The built-in one has none, and gets one that is nobody's.
fn painter(parts: &Parts<'_>) -> anyhow::Result<Option<PainterSettings>> {
    let (provider, login_home, account_url) = match (parts.provider, parts.lab) {
        (Provider::Custom(custom), Some(lab)) => {
            let home = parts.state.path().join("nobody");
            write_login(&home).with_context(|| format!("failed to write below `{home}`"))?;
            // Its worker runs as somebody who must be able to read it.
            if let Confinement::Cells(Cells { users: Some(users), .. }) = parts.confinement {
                give(&home, users.brain).context("the demo's login could not be given to its worker")?;
            }
            let provider = CustomProvider { requires_openai_auth: true, ..custom.clone() };
            (Provider::Custom(provider), home, Some(lab.base_url()))
        }
        (Provider::Custom(custom), None) if !custom.requires_openai_auth => {
            tracing::info!(
                "There are no pictures: Codex makes them with a ChatGPT login only, and `provider` takes none"
            );
            return Ok(None);
        }
        (provider, _) => (provider.clone(), parts.config.codex.home.clone(), None),
    };
    Ok(Some(PainterSettings {
        confinement: parts.confinement.clone(),
        binary: parts.binary.clone(),
        worker_dir: parts.state.path().join("workers/codex-images-1"),
        login_home,
        provider,
        account_url,
        model: parts.config.codex.model.clone(),
        turns: parts.config.images.concurrent.get(),
        stop_grace: STOP_GRACE,
    }))
}

fn write_login(home: &Utf8Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(home.join("auth.json"))?;
    file.write_all(portcullis_lab::nobodys_login().as_bytes())
}

impl Studio {
    /// Where pictures are kept, if they are.
    pub(super) fn shelf(&self) -> Option<Arc<Shelf>> {
        self.shelf.clone()
    }

    /// As the HTTP frontend has it: admitted, recorded, audited, with a deadline, and lent.
    pub(super) fn pictures(
        &self,
        metrics: Arc<Metrics>,
        counter: Arc<dyn TurnCounter>,
        audit: Audit,
        turns: &TurnBoard,
    ) -> Pictures {
        let (agent, name, exact, references): (Arc<dyn Agent>, _, _, _) = match &self.artist {
            Artist::Codex(painter) => {
                let agent = self.admitted(
                    Audited::new(Deadline::new(Lent::new(painter)), audit),
                    metrics,
                    counter,
                    turns,
                );
                (agent, "codex", false, MOST_REFERENCES)
            }
            Artist::Api(api) => {
                let agent = self.admitted(
                    Audited::new(Deadline::new(Arc::clone(api)), audit),
                    metrics,
                    counter,
                    turns,
                );
                (agent, "openai", true, API_REFERENCES)
            }
        };
        Pictures {
            agent,
            backend: Backend { name, model: MODEL, exact, references },
            shelf: self.shelf.clone(),
            settings: self.settings.clone(),
        }
    }

    /// In fair order, refused while whoever draws fails, and with a line in the log.
    fn admitted(
        &self,
        agent: impl Agent + 'static,
        metrics: Arc<Metrics>,
        counter: Arc<dyn TurnCounter>,
        turns: &TurnBoard,
    ) -> Arc<dyn Agent> {
        let agent = Admission::new(agent, "pictures", self.admission, Arc::clone(&metrics) as _);
        let agent = Breaker::new(agent, "images_provider", self.breaker, metrics);
        Arc::new(Watched::new(Record::new(agent, counter), turns.clone()))
    }
}
