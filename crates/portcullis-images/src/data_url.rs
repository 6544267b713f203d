//! `data:` URLs of pictures. Strict: base64 with its padding, nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A text is no `data:` URL in base64.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no 'data:' URL in base64")]
pub struct NotADataUrl;

/// The bytes of a `data:…;base64,…` URL. The declared type is not looked at: the bytes say what they are.
pub fn decode_data_url(url: &str) -> Result<Vec<u8>, NotADataUrl> {
    let (head, data) = url.split_once(',').ok_or(NotADataUrl)?;
    let scheme = head.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let base64 = head.rsplit(';').next().is_some_and(|last| last.eq_ignore_ascii_case("base64"));
    if !scheme || !base64 {
        return Err(NotADataUrl);
    }
    STANDARD.decode(data.trim()).map_err(|_not_base64| NotADataUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_base64_is_read() {
        for good in ["data:image/png;base64,aGk=", "DATA:;BASE64,aGk=", "data:text/html;base64,aGk=\n"] {
            assert_eq!(decode_data_url(good).as_deref(), Ok(b"hi".as_slice()), "{good}");
        }
        for bad in [
            "",
            "aGk=",
            "data:image/png,hi",
            "data:;base64,aGk",
            "data:;base64,a Gk=",
            "http://x/,aGk=",
            "é;base64,aGk=",
        ] {
            assert_eq!(decode_data_url(bad), Err(NotADataUrl), "{bad}");
        }
    }
}
