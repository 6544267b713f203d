//! A directory of its own for every principal: made, measured, bounded, cleaned by age.
//!
//! Knows: directories below one root, and what is in them. Does not know: agents, cells, requests. No path comes from a
//! client: a workspace's name is made from the principal's, and what is in it is walked without following links.

mod measure;
mod name;
mod remove;
mod root;

pub use measure::{Bound, Exceeded, Size};
pub use name::{WorkspaceName, digest};
pub use root::{Found, Workspace, WorkspaceError, Workspaces};
