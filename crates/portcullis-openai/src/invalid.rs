//! Why a request can not be carried out as it stands.

/// A fault in a request, in OpenAI's terms. Always the caller's to mend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidRequest {
    /// One sentence.
    pub message: String,
    /// The parameter at fault, such as `messages[2].content`.
    pub param: Option<String>,
    /// A code that programs may compare.
    pub code: Option<&'static str>,
}

impl InvalidRequest {
    /// A fault at a parameter.
    pub fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: None }
    }

    /// Adds a code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}
