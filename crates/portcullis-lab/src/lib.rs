//! A scripted model server: the built-in demo model, and what every test runs the real Codex against.
