//! Identifiers: one type for each thing that has an id, so that they cannot be mixed up.

/// Makes a type for the id of one kind of thing.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Wraps the text of an id; its form is its maker's business.
            pub fn new(text: impl Into<std::sync::Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as it stands on the wire and in the log.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id! {
    /// A conversation held by an agent.
    ThreadId
}
id! {
    /// One run from input to outcome.
    TurnId
}
id! {
    /// A message, a piece of reasoning or a tool call inside a turn.
    ItemId
}
id! {
    /// A tool call of the model; its output is returned under the same id.
    CallId
}
id! {
    /// The name of a model as the agent knows it.
    ModelId
}
id! {
    /// Who asks: an API key, a chat user, the operator.
    PrincipalId
}
id! {
    /// One request of a client, in the response header and in every log line that belongs to it.
    RequestId
}
