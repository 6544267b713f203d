//! The configuration in the words of the HTTP frontend.

use std::time::Duration;

use portcullis_agent::AdmissionLimits;
use portcullis_http::{Alias, Entrance, Keep, Parking, Settings};
use portcullis_openai::chat::{ImagePolicy, Limits};

use crate::config::{ByteSize, Config};

/// How long a client may take to send a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a body may take to arrive. 20 MiB in it is 170 KB/s.
const BODY_DEADLINE: Duration = Duration::from_mins(2);
/// How long a client may take nothing of its answer, once no more of it fits into what lies between.
const STALL_DEADLINE: Duration = Duration::from_mins(1);
/// What OpenAI allows, too.
const TOOLS: usize = 128;
/// A tool with a large schema has some kilobytes.
const TOOL_BYTES: usize = 64 * 1024;
/// They share the body with everything else, so that `limits.body` is what really bounds them.
const IMAGES: usize = 16;

pub(super) fn settings(config: &Config) -> Settings {
    let aliases = config.aliases.iter().map(|(name, alias)| {
        let alias =
            Alias { model: alias.model.clone(), effort: alias.effort.clone(), profile: alias.profile };
        (name.clone(), alias)
    });
    Settings {
        aliases: aliases.collect(),
        deadline: config.turn.deadline,
        // A parked turn holds a place in the worker: half of them stay free for turns that run.
        parking: Parking { most: config.limits.turns.get() / 2, wait: config.turn.parked },
        first_event: config.turn.first_event,
        keep: Keep { age: config.store.keep, bytes: config.store.size.bytes() },
        entrance: Entrance {
            hosts: config.http.hosts.0.clone(),
            origins: config.http.origins.0.clone(),
            connections: config.http.connections.get(),
            head: HEAD_DEADLINE,
            body: BODY_DEADLINE,
            stall: STALL_DEADLINE,
        },
        body_limit: bytes(config.limits.body),
        chat: Limits {
            messages: config.limits.messages.get(),
            text: bytes(config.limits.text),
            tools: TOOLS,
            tool_bytes: TOOL_BYTES,
            images: ImagePolicy {
                count: IMAGES,
                bytes: bytes(config.limits.body),
                remote: !config.openai.image_hosts.0.is_empty(),
            },
        },
        image_hosts: config.openai.image_hosts.0.clone(),
        sampling: config.openai.sampling,
    }
}

/// How many turns run and wait at once.
pub(super) fn admission(config: &Config) -> AdmissionLimits {
    let turns = config.limits.turns.get();
    AdmissionLimits {
        turns,
        profiles: config.limits.profile_turns.map(|most| most.map_or(turns, |most| most.get().min(turns))),
        queue: config.limits.queue.get(),
        wait: config.limits.queue_wait,
    }
}

/// A machine that cannot count so far cannot hold so much either.
fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}
