//! Pictures in messages: what is let through.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_agent::{ImageDetail, Part};

use crate::read::{At, Read};

/// Which pictures are let through.
#[derive(Clone, Debug)]
pub struct ImagePolicy {
    /// How many in one request.
    pub count: usize,
    /// How large one may be, in bytes after decoding.
    pub bytes: usize,
    /// Whether a picture may be named by URL; somebody has to put it in then.
    pub remote: bool,
}

impl ImagePolicy {
    /// Reads the `image_url` object of a message part.
    pub(crate) fn read(&self, image: &At<'_>) -> Read<Part> {
        image.only(&["url", "detail"])?;
        self.read_url(&image.need("url")?, image.get("detail")?.as_ref())
    }

    /// Reads a picture's URL and how closely it is looked at.
    pub(crate) fn read_url(&self, url: &At<'_>, detail: Option<&At<'_>>) -> Read<Part> {
        self.check(url)?;
        let detail = match detail {
            None => ImageDetail::Auto,
            Some(detail) => detail.word(&[
                ("auto", ImageDetail::Auto),
                ("low", ImageDetail::Low),
                ("high", ImageDetail::High),
                ("original", ImageDetail::Original),
            ])?,
        };
        Ok(Part::Image { url: url.str()?.to_owned(), detail })
    }

    fn check(&self, url: &At<'_>) -> Read<()> {
        let text = url.str()?;
        match text.strip_prefix("data:") {
            Some(data) => self.check_data(url, data),
            // Whoever fetches it decides whether it may be fetched.
            None if self.remote && (text.starts_with("https://") || text.starts_with("http://")) => Ok(()),
            None => {
                let message = "Pictures are taken as base64 'data:' URLs only.";
                Err(url.fault(message).code("invalid_image_url"))
            }
        }
    }

    fn check_data(&self, url: &At<'_>, data: &str) -> Read<()> {
        let fault = |message: String| url.fault(message).code("invalid_image_url");
        let Some((kind, encoded)) = data.split_once(";base64,") else {
            return Err(fault(
                "A 'data:' URL must say its type and be base64: 'data:image/png;base64,…'.".to_owned(),
            ));
        };
        if encoded.len() / 4 * 3 > self.bytes.saturating_add(2) {
            return Err(fault(format!("A picture may have at most {} bytes.", self.bytes)));
        }
        let bytes =
            STANDARD.decode(encoded).map_err(|_| fault("The picture is not valid base64.".to_owned()))?;
        let Some(sniffed) = sniff_image(&bytes) else {
            return Err(
                fault("The picture is none of PNG, JPEG, GIF, WebP.".to_owned()).code("invalid_image_format")
            );
        };
        if kind != sniffed && !(kind == "image/jpg" && sniffed == "image/jpeg") {
            return Err(fault(format!("The URL says '{kind}', but the picture is '{sniffed}'.")));
        }
        Ok(())
    }
}

/// The type of a picture by its first bytes.
pub fn sniff_image(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}
