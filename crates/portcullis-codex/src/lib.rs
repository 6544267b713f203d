//! Agent over codex app-server; writes the worker's configuration; sign-in.
