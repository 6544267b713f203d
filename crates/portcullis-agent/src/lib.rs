//! Thread, Turn, Item, events, usage, errors and the Agent trait with its wrappers; no I/O.
