//! The part of Codex's app-server wire that Portcullis speaks.
