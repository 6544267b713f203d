//! The HTTP frontend: /v1, health.
