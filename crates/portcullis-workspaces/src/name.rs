//! What a principal's workspace is called.

use std::fmt;

use portcullis_agent::PrincipalId;
use sha2::{Digest as _, Sha256};

/// The name of a workspace: one component of a path, different for different principals.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkspaceName(String);

/// How much of the principal's own name is readable in the workspace's.
const READABLE: usize = 32;

impl WorkspaceName {
    /// The name for a principal: what is readable of its own, and a digest of all of it.
    pub fn of(principal: &PrincipalId) -> Self {
        let readable: String = principal
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
            .take(READABLE)
            .collect();
        let hash = Sha256::digest(principal.as_str().as_bytes());
        let mut tail = [0; 8];
        tail.copy_from_slice(&hash[..8]);
        Self(format!("{readable}-{:016x}", u64::from_be_bytes(tail)))
    }

    /// A name that was found on disk, if it can be one.
    pub fn found(name: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let (_, tail) = name.rsplit_once('-')?;
        let fits = tail.len() == 16 && name.len() <= READABLE + 17 && name.chars().all(allowed);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number for a principal, always the same.
pub fn digest(principal: &PrincipalId) -> u32 {
    let hash = Sha256::digest(principal.as_str());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a key is called, its workspace is one plain component and nobody else's.
        #[test]
        fn names_are_components_and_differ(one in "\\PC{0,80}", other in "\\PC{0,80}") {
            let name = WorkspaceName::of(&PrincipalId::from(one.as_str()));
            prop_assert_eq!(Utf8Path::new(name.as_str()).components().count(), 1);
            prop_assert!(!name.as_str().starts_with('.'));
            prop_assert_eq!(WorkspaceName::found(name.as_str()), Some(name.clone()));
            prop_assert_eq!(one == other, name == WorkspaceName::of(&PrincipalId::from(other.as_str())));
        }
    }

    #[test]
    fn a_principal_can_be_recognised_in_its_workspace() {
        let name = WorkspaceName::of(&PrincipalId::from("k_1a2b:my app/../x"));
        assert_eq!(name.as_str(), "k_1a2b-my-app----x-540d0c492487c0a6");
        assert_eq!(WorkspaceName::found("lost+found"), None);
    }
}
