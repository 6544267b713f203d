//! The envelope: what kind of message a line is. Parameters stay raw until somebody wants them.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Method, Trace};

/// One line from the app-server.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// The answer to one of our calls.
    Reply {
        /// The id that the call carried.
        id: u64,
        /// The result, or what the app-server said instead.
        result: Result<&'a RawValue, RpcError>,
    },
    /// The app-server asks us something and waits.
    Request {
        /// Its id, to be returned as it is.
        id: &'a RawValue,
        /// What it asks.
        method: Cow<'a, str>,
        /// Unparsed parameters.
        params: &'a RawValue,
    },
    /// The app-server tells us something.
    Notification {
        /// What.
        method: Cow<'a, str>,
        /// Unparsed parameters.
        params: &'a RawValue,
    },
}

/// A line that is not a message of the protocol.
#[derive(Debug)]
pub struct MalformedLine(String);

impl fmt::Display for MalformedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line from the app-server is not a message: {}", self.0)
    }
}

impl std::error::Error for MalformedLine {}

/// An error of the JSON-RPC layer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct RpcError {
    /// The code: -32600 invalid request, -32001 overloaded (retryable), and others.
    pub code: i64,
    /// For the log.
    #[serde(default)]
    pub message: String,
}

impl RpcError {
    /// "Server overloaded; retry later."
    pub const OVERLOADED: i64 = -32001;
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

impl<'a> Incoming<'a> {
    /// Reads one line, without its end.
    pub fn parse(line: &'a [u8]) -> Result<Self, MalformedLine> {
        let envelope: Envelope<'a> =
            serde_json::from_slice(line).map_err(|e| MalformedLine(e.to_string()))?;
        let null = || serde_json::from_str::<&RawValue>("null").map_err(|e| MalformedLine(e.to_string()));
        match envelope {
            Envelope { id: Some(id), method: Some(method), params, .. } => {
                Ok(Self::Request { id, method, params: params.map_or_else(null, Ok)? })
            }
            Envelope { id: None, method: Some(method), params, .. } => {
                Ok(Self::Notification { method, params: params.map_or_else(null, Ok)? })
            }
            Envelope { id: Some(id), method: None, result, error, .. } => {
                let id =
                    id.get().parse().map_err(|_| MalformedLine("a reply whose id is not ours".to_owned()))?;
                match (result, error) {
                    (_, Some(error)) => Ok(Self::Reply { id, result: Err(error) }),
                    (Some(result), None) => Ok(Self::Reply { id, result: Ok(result) }),
                    (None, None) => Ok(Self::Reply { id, result: Ok(null()?) }),
                }
            }
            Envelope { id: None, method: None, .. } => {
                Err(MalformedLine("neither a reply nor a request nor a notification".to_owned()))
            }
        }
    }
}

#[derive(Serialize)]
struct Call<'a, P> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: &'a P,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a Trace>,
}

#[derive(Serialize)]
struct Reply<'a, R> {
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ReplyError<'a>>,
}

#[derive(Serialize)]
struct ReplyError<'a> {
    code: i64,
    message: &'a str,
}

/// A call of ours as a line, its end included.
pub fn request_line<M: Method>(id: u64, params: &M) -> Vec<u8> {
    line(&Call { id: Some(id), method: M::NAME, params, trace: params.trace() })
}

/// A notification of ours as a line.
pub fn notification_line(method: &str) -> Vec<u8> {
    line(&Call { id: None, method, params: &serde_json::Map::new(), trace: None })
}

/// The answer to a request of the app-server as a line.
pub fn reply_line<R: Serialize>(id: &RawValue, result: &R) -> Vec<u8> {
    line(&Reply { id, result: Some(result), error: None })
}

/// A refusal of a request of the app-server as a line.
pub fn reply_error_line(id: &RawValue, code: i64, message: &str) -> Vec<u8> {
    line(&Reply::<()> { id, result: None, error: Some(ReplyError { code, message }) })
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec(value).expect("our own types serialise: no maps with other keys than strings");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_told_apart() {
        let table = [
            (r#"{"id":7,"result":{"a":1}}"#, r#"reply 7 Ok({"a":1})"#),
            (r#"{"id":8,"error":{"code":-32001,"message":"later"}}"#, "reply 8 Err(later (code -32001))"),
            (
                r#"{"method":"turn/started","params":{"x":[]},"emittedAtMs":5}"#,
                r#"notification turn/started {"x":[]}"#,
            ),
            (r#"{"method":"item/tool/call","id":0,"params":{}}"#, "request 0 item/tool/call {}"),
            (r#"{"method":"odd","id":"s","params":null}"#, r#"request "s" odd null"#),
            ("{}", "malformed"),
            ("[1]", "malformed"),
            ("\u{7}", "malformed"),
            (r#"{"id":"not ours","result":1}"#, "malformed"),
        ];
        for (line, expected) in table {
            let got = match Incoming::parse(line.as_bytes()) {
                Ok(Incoming::Reply { id, result: Ok(r) }) => format!("reply {id} Ok({r})"),
                Ok(Incoming::Reply { id, result: Err(e) }) => format!("reply {id} Err({e})"),
                Ok(Incoming::Notification { method, params }) => format!("notification {method} {params}"),
                Ok(Incoming::Request { id, method, params }) => format!("request {id} {method} {params}"),
                Err(_) => "malformed".to_owned(),
            };
            assert_eq!(got, expected, "{line}");
        }
    }
}
