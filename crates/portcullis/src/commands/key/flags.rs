//! The flags that say what a key may do.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::bail;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use portcullis_access::{KeyLimits, Scope};
use portcullis_agent::Profile;

use crate::config::parse_duration;

/// What a key may do.
#[derive(clap::Args)]
pub(super) struct Grant {
    /// What its turns may touch at most, and do unless a request asks for less: `chat`, `read` or `work`.
    #[arg(long, default_value_t = Profile::Chat)]
    profile: Profile,
    /// A model that it may use, by its own name or an alias; can be repeated [default: all].
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// A part of the gateway that it opens: `inference`, `images`, `metrics` or `operator`; can be repeated
    /// [default: inference, images, metrics].
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// How many of its turns may run at once [default: what the gateway allows].
    #[arg(long, value_name = "N")]
    turns: Option<NonZeroU32>,
    /// How many requests it may make in a minute [default: no limit].
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<NonZeroU32>,
    /// How many tokens it may use in a minute [default: no limit].
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<NonZeroU32>,
    /// When it ends: after a time such as `30d`, or with the beginning of a day such as `2027-01-01` (UTC)
    /// [default: never].
    #[arg(long, value_name = "WHEN", value_parser = end)]
    expires: Option<End>,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    After(Duration),
    At(Timestamp),
}

impl Grant {
    /// The grant of a key that is made now.
    pub(super) fn read(self, now: Timestamp) -> anyhow::Result<portcullis_access::Grant> {
        if self.models.iter().any(|name| name.trim().is_empty() || name.chars().any(char::is_control)) {
            bail!("`--model` takes the name of a model");
        }
        let expires = match self.expires {
            None => None,
            Some(End::After(time)) => Some(now.checked_add(time)?),
            Some(End::At(time)) if time > now => Some(time),
            Some(End::At(time)) => bail!("the key would have expired already, at {time}"),
        };
        let scopes = if self.scopes.is_empty() { Scope::DEFAULT.to_vec() } else { self.scopes };
        Ok(portcullis_access::Grant {
            profile: self.profile,
            models: self.models.into_iter().collect(),
            scopes: scopes.into_iter().collect(),
            limits: KeyLimits {
                turns: self.turns,
                requests_per_minute: self.requests_per_minute,
                tokens_per_minute: self.tokens_per_minute,
            },
            expires,
        })
    }
}

/// A duration, for clap.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("expected a duration such as `30m`, `12h` or `30d`, at most `365d`")
}

fn end(text: &str) -> Result<End, &'static str> {
    if let Some(time) = parse_duration(text) {
        return Ok(End::After(time));
    }
    let day = text.parse::<Date>().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    let expected =
        "expected a time from now such as `12h` or `30d` (at most `365d`), or a day such as `2027-01-01`";
    day.map(|day| End::At(day.timestamp())).ok_or(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert_eq!(end("30d"), Ok(End::After(Duration::from_hours(30 * 24))));
        assert_eq!(end("2027-01-01"), Ok(End::At("2027-01-01T00:00:00Z".parse().unwrap())));
        for bad in ["", "soon", "30", "2027-02-30", "01.01.2027", "400d"] {
            end(bad).unwrap_err();
        }
    }
}
