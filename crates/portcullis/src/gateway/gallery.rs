//! The shelf of pictures, for the operator's pages.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use portcullis_agent::{PictureFormat, PrincipalId};
use portcullis_dashboard::{Gallery, KeptPicture, KeptPictures, PictureShelf};
use portcullis_images::{Kept, Overseen, Overview, Shelf};

use crate::config::ImageBackend;

/// What the pages show of the pictures, or why there are none.
pub(super) fn of(shelf: Option<Arc<Shelf>>, draws: bool, backend: ImageBackend) -> Gallery {
    let (why, hint) = match (shelf, draws, backend) {
        (Some(shelf), ..) => return Gallery::Open(Arc::new(Overseer(shelf))),
        (None, true, _) => (
            "Pictures are drawn, and kept nowhere: every answer carries its own.",
            "With images.keep = \"1h\" those that are to be fetched are kept for an hour.",
        ),
        (None, false, ImageBackend::Off) => (
            "Pictures are off.",
            "With images.backend = \"codex\" Codex draws, with a ChatGPT login; with \"openai\" OpenAI's Images API \
             does, with a key from images.key_file.",
        ),
        (None, false, _) => (
            "Nobody draws: Codex does so with a ChatGPT login only, and this provider takes none.",
            "With images.backend = \"openai\" OpenAI's Images API draws, with a key from images.key_file.",
        ),
    };
    Gallery::Closed { why, hint }
}

#[derive(Debug)]
struct Overseer(Arc<Shelf>);

impl PictureShelf for Overseer {
    fn list(&self, of: Option<&PrincipalId>, skip: usize, most: usize) -> KeptPictures {
        let Overview { principals, pictures } = self.0.oversee(of, skip, most, Instant::now());
        KeptPictures { principals, pictures: pictures.into_iter().map(kept).collect() }
    }

    fn read(&self, id: &str) -> Option<(PictureFormat, Vec<u8>)> {
        let (Kept { measured, .. }, mut file) = self.0.open_overseen(id, Instant::now())?;
        let mut bytes = Vec::new();
        match file.read_to_end(&mut bytes) {
            Ok(_) => Some((measured.format, bytes)),
            Err(error) => {
                tracing::warn!(error = %error, "A kept picture can not be read");
                None
            }
        }
    }

    fn remove(&self, id: &str) -> Option<PrincipalId> {
        self.0.remove_overseen(id)
    }
}

fn kept(Overseen { principal, kept, left }: Overseen) -> KeptPicture {
    let Kept { id, measured, bytes, created } = kept;
    KeptPicture {
        id,
        principal,
        format: measured.format,
        width: measured.width,
        height: measured.height,
        bytes,
        made: UNIX_EPOCH + Duration::from_secs(u64::try_from(created).unwrap_or(0)),
        left,
    }
}
