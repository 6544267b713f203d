//! Pictures: what a turn that makes one is asked for, and what it made.

use bytes::Bytes;

use crate::{ItemId, Usage};

/// A file format of pictures, told by a file's own first bytes and never by a name or a declared type.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PictureFormat {
    /// Lossless, with transparency.
    Png,
    /// Lossy, without.
    Jpeg,
    /// Either, with transparency.
    Webp,
}

impl PictureFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// The format as a short word: `png`, `jpeg`, `webp`; also what the file's name ends with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// The format of a file that begins with these bytes.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }
}

/// A picture that a caller gave, as it was.
#[derive(Clone, Eq, PartialEq)]
pub struct Reference {
    /// The file.
    pub bytes: Bytes,
    /// What kind of file it is.
    pub format: PictureFormat,
}

// Written by hand: a file's bytes are nothing to print.
impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reference({}, {} bytes)", self.format.word(), self.bytes.len())
    }
}

/// What the one picture of a turn is to be. The prompt is the turn's history: one message of the user.
///
/// An agent that can not force a wish passes it on as words; what came out is measured by whoever asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PictureRequest {
    /// Pictures to start from, in order.
    pub references: Vec<Reference>,
    /// Which part of the first reference may change: a PNG of the same size that is transparent there.
    pub mask: Option<Reference>,
    /// Width and height in pixels; the agent's own choice where absent.
    pub size: Option<(u32, u32)>,
    /// A word of the provider: `low`, `medium`, `high`.
    pub quality: Option<String>,
    /// Whether what is not drawn is to be transparent; the provider's own choice where absent.
    pub transparent: Option<bool>,
    /// The name that the provider has for the model of pictures, where the caller chose one.
    pub model: Option<String>,
    /// How closely references are followed: a word of the provider.
    pub input_fidelity: Option<String>,
    /// How strictly the provider moderates: a word of it.
    pub moderation: Option<String>,
    /// How many previews are wanted on the way.
    pub previews: u8,
}

/// A picture that a turn made.
#[derive(Clone, Eq, PartialEq)]
pub struct Picture {
    /// The item's id.
    pub id: ItemId,
    /// The file, as it came; what it is, is for its reader to find out.
    pub bytes: Bytes,
    /// The prompt that the picture was really made from, where it is known.
    pub revised_prompt: Option<String>,
    /// Whether it was asked for with a transparent background, where it is known.
    pub transparent: Option<bool>,
    /// What it cost, where the provider says so.
    pub cost: Option<PictureCost>,
}

/// What a picture cost, in tokens, as its provider counted them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PictureCost {
    /// Read: the prompt.
    pub text_input: u64,
    /// Read: references.
    pub image_input: u64,
    /// Written.
    pub output: u64,
}

impl PictureCost {
    /// The same as the cost of a step.
    pub fn usage(self) -> Usage {
        let Self { text_input, image_input, output } = self;
        Usage { input: text_input + image_input, output, ..Usage::default() }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}, {} bytes)", self.id, self.bytes.len())
    }
}
