//! What a given text, number or truth value means.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::given::{Given, Scalar, quote};
use super::quantity::{parse_duration, show_duration};
use portcullis_agent::{ApprovalPolicy, Profile};
use portcullis_codex::Runner;
use portcullis_http::SizePolicy;
use portcullis_openai::chat::Sampling;

use super::{BaseUrl, ByteSize, Hosts, ImageBackend, KeepFor, LogFilter, LogFormat, Origins};

/// A type that a key can have.
pub(super) trait Meaning: Sized {
    /// What the table of keys calls it.
    const KIND: &'static str;
    /// What is allowed, for the person who gave something else.
    const EXPECTED: &'static str;
    /// A refused value is not repeated, as it may be a secret.
    const HIDDEN: bool = false;

    /// `None` when it is not allowed.
    fn of(given: &Given) -> Option<Self>;
    /// As TOML.
    fn show(&self) -> String;
}

/// `provider.kind`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProviderKind {
    OpenAi,
    Lab,
    Custom,
}

impl Meaning for SocketAddr {
    const KIND: &'static str = "address";
    const EXPECTED: &'static str = "an IP address and a port, such as `127.0.0.1:8320` or `[::1]:8320`";

    fn of(given: &Given) -> Option<Self> {
        given.text()?.parse().ok()
    }
    fn show(&self) -> String {
        quote(&self.to_string())
    }
}

impl Meaning for Utf8PathBuf {
    const KIND: &'static str = "path";
    const EXPECTED: &'static str = "a path; `~` and variables are not expanded";

    fn of(given: &Given) -> Option<Self> {
        let text = given.plain_text().filter(|text| !text.is_empty() && !text.starts_with(['~', '$']))?;
        let base = given.base.as_deref().unwrap_or(Utf8Path::new(""));
        camino::absolute_utf8(base.join(text)).ok()
    }
    fn show(&self) -> String {
        quote(self.as_str())
    }
}

impl Meaning for String {
    const KIND: &'static str = "text";
    const EXPECTED: &'static str = "a text that is not empty, on one line";

    fn of(given: &Given) -> Option<Self> {
        given.plain_text().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }
    fn show(&self) -> String {
        quote(self)
    }
}

impl Meaning for SecretString {
    const KIND: &'static str = "hidden text";
    const EXPECTED: &'static str = "a text on one line";
    const HIDDEN: bool = true;

    fn of(given: &Given) -> Option<Self> {
        given.plain_text().map(Self::from)
    }
    fn show(&self) -> String {
        quote("(hidden)")
    }
}

impl Meaning for bool {
    const KIND: &'static str = "boolean";
    const EXPECTED: &'static str = "`true` or `false`";

    fn of(given: &Given) -> Option<Self> {
        if let Scalar::Truth(truth) = given.scalar { Some(truth) } else { None }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Meaning for u64 {
    const KIND: &'static str = "whole number";
    const EXPECTED: &'static str = "a whole number from 0";

    fn of(given: &Given) -> Option<Self> {
        if let Scalar::Integer(number) = given.scalar { number.try_into().ok() } else { None }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Meaning for NonZeroUsize {
    const KIND: &'static str = "count";
    const EXPECTED: &'static str = "a whole number from 1 to 1000000";

    fn of(given: &Given) -> Option<Self> {
        Self::new(u64::of(given).filter(|number| *number <= 1_000_000)?.try_into().ok()?)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Meaning for Duration {
    const KIND: &'static str = "duration";
    const EXPECTED: &'static str =
        "a duration with its unit, such as \"250ms\", \"30s\", \"10m\" or \"1h30m\", at most \"365d\"";

    fn of(given: &Given) -> Option<Self> {
        parse_duration(given.text()?)
    }
    fn show(&self) -> String {
        quote(&show_duration(*self))
    }
}

impl Meaning for ByteSize {
    const KIND: &'static str = "size";
    const EXPECTED: &'static str =
        "a size from 1 byte to 4 TiB, such as 4096, \"512KiB\", \"20MiB\" or \"1GB\"";

    fn of(given: &Given) -> Option<Self> {
        match given.scalar {
            Scalar::Integer(_) => Self::new(u64::of(given)?),
            _ => Self::parse(given.text()?),
        }
    }
    fn show(&self) -> String {
        quote(&self.to_string())
    }
}

impl Meaning for ProviderKind {
    const KIND: &'static str = "`openai`, `lab` or `custom`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        [Self::OpenAi, Self::Lab, Self::Custom].into_iter().find(|kind| given.text() == Some(kind.as_str()))
    }
    fn show(&self) -> String {
        quote(self.as_str())
    }
}

impl ProviderKind {
    /// As it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Lab => "lab",
            Self::Custom => "custom",
        }
    }
}

impl Meaning for LogFormat {
    const KIND: &'static str = "`text` or `json`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        match given.text()? {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
    fn show(&self) -> String {
        quote(if *self == Self::Text { "text" } else { "json" })
    }
}

impl Meaning for ApprovalPolicy {
    const KIND: &'static str = "`decline`, `auto_review` or `ask`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| given.text() == Some(policy.word()))
    }
    fn show(&self) -> String {
        quote(self.word())
    }
}

impl Meaning for Sampling {
    const KIND: &'static str = "`ignore` or `reject`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        match given.text()? {
            "ignore" => Some(Self::Ignore),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }
    fn show(&self) -> String {
        quote(if *self == Self::Ignore { "ignore" } else { "reject" })
    }
}

impl Meaning for Profile {
    const KIND: &'static str = "`chat`, `read` or `work`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        given.text()?.parse().ok()
    }
    fn show(&self) -> String {
        quote(self.word())
    }
}

impl Meaning for ImageBackend {
    const KIND: &'static str = "`codex`, `openai` or `off`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        match given.text()? {
            "codex" => Some(Self::Codex),
            "openai" => Some(Self::OpenAi),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
    fn show(&self) -> String {
        quote(match self {
            Self::Codex => "codex",
            Self::OpenAi => "openai",
            Self::Off => "off",
        })
    }
}

impl Meaning for Runner {
    const KIND: &'static str = "`app-server` or `exec`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        match given.text()? {
            "app-server" => Some(Self::AppServer),
            "exec" => Some(Self::Exec),
            _ => None,
        }
    }
    fn show(&self) -> String {
        quote(match self {
            Self::AppServer => "app-server",
            Self::Exec => "exec",
        })
    }
}

impl Meaning for SizePolicy {
    const KIND: &'static str = "`report`, `strict` or `fit`";
    const EXPECTED: &'static str = Self::KIND;

    fn of(given: &Given) -> Option<Self> {
        Self::of(given.text()?)
    }
    fn show(&self) -> String {
        quote(match self {
            Self::Report => "report",
            Self::Strict => "strict",
            Self::Fit => "fit",
        })
    }
}

impl Meaning for KeepFor {
    const KIND: &'static str = "duration or `off`";
    const EXPECTED: &'static str = "a duration such as `1h` or `7d`, or `off`";

    fn of(given: &Given) -> Option<Self> {
        match given.text()? {
            "off" => Some(Self::Off),
            text => parse_duration(text).map(Self::Duration),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Duration(duration) => quote(&show_duration(*duration)),
            Self::Off => quote("off"),
        }
    }
}

impl Meaning for Hosts {
    const KIND: &'static str = "hosts";
    const EXPECTED: &'static str = "names or addresses separated by commas, such as `cdn.example, 10.0.0.7`";

    fn of(given: &Given) -> Option<Self> {
        let names: Vec<_> =
            given.plain_text()?.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_host = |name: &&str| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':'))
        };
        names.iter().all(is_host).then(|| Self(names.into_iter().map(str::to_owned).collect()))
    }
    fn show(&self) -> String {
        quote(&self.0.join(", "))
    }
}

impl Meaning for Origins {
    const KIND: &'static str = "origins";
    const EXPECTED: &'static str = "origins as browsers send them, separated by commas, such as `https://app.example, http://localhost:3000`";

    fn of(given: &Given) -> Option<Self> {
        let origins: Vec<_> =
            given.plain_text()?.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
        let is_origin = |origin: &&str| {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let exact =
                |rest: &str| !rest.contains(['/', '*', '@', '?', '#']) && rest == rest.to_ascii_lowercase();
            rest.is_some_and(|rest| exact(rest) && rest.parse::<http::uri::Authority>().is_ok())
        };
        origins.iter().all(is_origin).then(|| Self(origins.into_iter().map(str::to_owned).collect()))
    }
    fn show(&self) -> String {
        quote(&self.0.join(", "))
    }
}

impl Meaning for LogFilter {
    const KIND: &'static str = "log filter";
    const EXPECTED: &'static str =
        "`off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,portcullis_http=debug`";

    fn of(given: &Given) -> Option<Self> {
        let text = given.plain_text()?;
        // A lone word is a target to tracing: `inof` would mean silence for everything else.
        let lone = text.chars().all(char::is_alphanumeric);
        let valid =
            if lone { text.parse::<LevelFilter>().is_ok() } else { EnvFilter::builder().parse(text).is_ok() };
        (valid && !text.is_empty()).then(|| Self(text.to_owned()))
    }
    fn show(&self) -> String {
        quote(&self.0)
    }
}

impl Meaning for BaseUrl {
    const KIND: &'static str = "URL";
    const EXPECTED: &'static str = "an http or https URL with a host, such as \"http://127.0.0.1:8000/v1\", \
                                    without user, password, query and fragment";
    // Somebody may have put a password into it.
    const HIDDEN: bool = true;

    fn of(given: &Given) -> Option<Self> {
        let text = given.plain_text()?;
        let url: http::Uri = text.parse().ok()?;
        let scheme = url.scheme_str().is_some_and(|scheme| scheme == "http" || scheme == "https");
        let host = url.host().is_some_and(|host| !host.is_empty());
        (scheme && host && !text.contains(['@', '?', '#']))
            .then(|| Self(text.trim_end_matches('/').to_owned()))
    }
    fn show(&self) -> String {
        quote(&self.0)
    }
}
