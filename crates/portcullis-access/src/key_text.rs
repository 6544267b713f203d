//! The text of a key: `pcl_<id>_<secret>`.
//!
//! The prefix lets secret scanners and people recognise it. The id finds the stored hash and may appear in logs;
//! the secret is 32 random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::KeyError;

const PREFIX: &str = "pcl_";
const ID_LEN: usize = 8;
const SECRET_LEN: usize = 43;

/// 32 letters without those that are easily misread (`i`, `l`, `o`, `u`).
const ID_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// SHA-256 of a whole key text.
pub(crate) type KeyHash = [u8; 32];

/// A fresh id.
pub(crate) fn generate_id() -> Result<String, KeyError> {
    let mut bytes = [0u8; ID_LEN];
    getrandom::fill(&mut bytes).map_err(|source| KeyError::Random { source })?;
    // 256 is a multiple of 32, so every letter is equally likely.
    Ok(bytes.iter().map(|byte| char::from(ID_ALPHABET[usize::from(byte % 32)])).collect())
}

/// The whole key text of an id, with a fresh secret.
pub(crate) fn generate(id: &str) -> Result<SecretString, KeyError> {
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).map_err(|source| KeyError::Random { source })?;
    Ok(SecretString::from(format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret))))
}

/// The id inside a presented text, if that has the shape of a key. Bounds the length before anything is hashed.
pub(crate) fn id_of(presented: &str) -> Option<&str> {
    let (id, secret) = presented.strip_prefix(PREFIX)?.split_once('_')?;
    let shaped = id.len() == ID_LEN
        && id.bytes().all(|byte| ID_ALPHABET.contains(&byte))
        && secret.len() == SECRET_LEN
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    shaped.then_some(id)
}

/// What is stored of a key, and what a presented text is compared by.
pub(crate) fn hash(key: &str) -> KeyHash {
    Sha256::digest(key.as_bytes()).into()
}

/// Lower-case hexadecimal.
pub(crate) fn to_hex(hash: &KeyHash) -> String {
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}

/// The inverse of [`to_hex`].
pub(crate) fn from_hex(text: &str) -> Option<KeyHash> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = KeyHash::default();
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(hash)
}
