//! Starts, watches, restarts, drains and kills process groups; knows no agent.
