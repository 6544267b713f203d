//! What the operator lets requests hold, and what happens to knobs that Codex does not have.

use super::images::ImagePolicy;

/// What a request may hold at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes of all texts together.
    pub text: usize,
    /// Tools.
    pub tools: usize,
    /// Bytes of one tool's description and schema.
    pub tool_bytes: usize,
    /// Pictures.
    pub images: ImagePolicy,
}

impl Limits {
    /// For what was checked when it came in.
    pub(crate) fn unbounded() -> Self {
        let most = usize::MAX;
        let images = ImagePolicy { count: most, bytes: most, remote: true };
        Self { messages: most, text: most, tools: most, tool_bytes: most, images }
    }
}

/// What happens to a sampling knob that asks for something else than the default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sampling {
    /// It is ignored, and named in a response header.
    Ignore,
    /// The request is refused.
    Reject,
}
