//! A Codex worker that draws: what the supervisor needs to know of it. Its home differs from a worker's that talks.
//!
//! - The one tool that the model has is `image_gen`, and only here.
//! - `generated_images` is a file: Codex then keeps no picture on the disk and gives the whole of it in the item
//!   (measured on 0.169.0, docs/design/pictures.md).
//! - `references` holds the pictures of running requests, one directory each.

use std::sync::Arc;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use portcullis_supervisor::{ConnectError, Connected, Launch, LaunchError, Role};
use tokio::process::{ChildStdin, ChildStdout};
use toml::Table;

use crate::binary::CodexBinary;
use crate::cells::{BrainNeeds, Confinement};
use crate::connection::{Connection, Opened};
use crate::home::{WorkerHome, private_dir};
use crate::provider::Provider;
use crate::requirements::requirements;
use crate::worker::{Link, catalog, changed, environment, initialize, known_login, models};
use crate::worker_config::{Kind, worker_config};

/// A Codex worker that draws.
#[derive(Debug)]
pub(crate) struct ImageWorker {
    pub(crate) confinement: Confinement,
    pub(crate) binary: CodexBinary,
    /// The worker's own directory, emptied before every start.
    pub(crate) dir: Utf8PathBuf,
    /// Where the login lives.
    pub(crate) login_home: Utf8PathBuf,
    pub(crate) login_file: Utf8PathBuf,
    pub(crate) provider: Provider,
    pub(crate) model: String,
    /// Where Codex asks about the account; OpenAI's own service where absent.
    pub(crate) account_url: Option<String>,
    /// How many pictures may be drawn at once.
    pub(crate) turns: usize,
}

impl ImageWorker {
    /// Where the references of running requests lie.
    pub(crate) fn references(&self) -> Utf8PathBuf {
        self.dir.join("references")
    }

    fn config(&self, home: &WorkerHome) -> Table {
        let mut config = worker_config(Kind::Drawing, &self.provider, &self.model, &home.catalog());
        if let Some(url) = &self.account_url {
            config.insert("chatgpt_base_url".to_owned(), url.as_str().into());
        }
        config
    }
}

#[async_trait]
impl Role for ImageWorker {
    type Handle = Arc<Link>;

    fn name(&self) -> &'static str {
        "codex-images-1"
    }

    async fn launch(&self) -> Result<Launch, LaunchError> {
        let home = WorkerHome::create(&self.dir, &self.login_home).map_err(LaunchError::new)?;
        private_dir(&self.references()).map_err(LaunchError::new)?;
        home.write("generated_images", b"").map_err(LaunchError::new)?;
        let needs = BrainNeeds {
            binary: &self.binary,
            args: vec!["app-server".to_owned(), "--strict-config".to_owned()],
            home: &home,
            login_home: &self.login_home,
            ports: vec![self.provider.port()],
            names: self.provider.has_a_name(),
            requirements: requirements(Kind::Drawing),
        };
        self.confinement.give(&home.dir).map_err(LaunchError::new)?;
        let models = std::slice::from_ref(&self.model);
        let catalog = catalog(Kind::Drawing, &self.confinement, needs.clone(), models).await?;
        home.write("models.json", &catalog).map_err(LaunchError::new)?;
        home.write_config(&self.config(&home)).map_err(LaunchError::new)?;
        self.confinement.give(&home.dir).map_err(LaunchError::new)?;
        Ok(self.confinement.brain(needs, environment(&self.provider, &home)))
    }

    async fn connect(
        &self,
        stdin: ChildStdin,
        stdout: ChildStdout,
    ) -> Result<Connected<Arc<Link>>, ConnectError> {
        let login_changed = changed(&self.login_file);
        let Opened { connection, router, closed } =
            Connection::open(stdin, stdout).map_err(ConnectError::new)?;
        initialize(&connection).await.map_err(ConnectError::new)?;
        let login = known_login(&connection).await.map_err(ConnectError::new)?;
        let models = models(&connection).await.map_err(ConnectError::new)?;
        let cwd = self.dir.join("cwd");
        let link = Link::new(connection, router, models, (login, login_changed), cwd, self.turns);
        Ok(Connected { handle: Arc::new(link), closed })
    }
}
