//! What the demo says when it is ready: what runs, what it is not, how to use it, how to stop it.
//!
//! It shows the key, which nothing else ever does after its making; see `key` for where its text is kept.

use std::net::SocketAddr;

use secrecy::{ExposeSecret as _, SecretString};

use crate::gateway::reachable;

const QUESTION: &str = r#"{"model":"codex","stream":true,"messages":[{"role":"user","content":"What is 12*7? And what are you?"}]}"#;

const PICTURE: &str = r#"{"prompt":"a red heart and a yellow star on a blue background","size":"1024x1024"}"#;

/// For stdout.
pub(super) fn banner(
    address: SocketAddr,
    codex_version: &str,
    key: &SecretString,
    code: &SecretString,
) -> String {
    let dashboard = format!("http://{}/dashboard/sign-in#{}", reachable(address), code.expose_secret());
    let base_url = format!("http://{}/v1", reachable(address));
    let key = key.expose_secret();
    format!(
        "
Portcullis is running: an OpenAI-compatible gateway in front of the real Codex CLI {codex_version}.

The model behind it is Portcullis's built-in demo model, a small script and not a real model.
No login is used, and nothing leaves this machine.

  Base URL  {base_url}
  API key   {key}

Try it in another terminal; the answer streams word by word:

  curl -N {base_url}/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{QUESTION}'

And a picture, drawn by a small script, too; open picture.png in a browser:

  curl -s {base_url}/images/generations -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{PICTURE}' | sed 's/.*\"b64_json\":\"\\([^\"]*\\).*/\\1/' | base64 -d > picture.png

The operator's dashboard; the link is good once, for ten minutes:

  {dashboard}

Stop it with Ctrl-C. For a real model: `portcullis login`, then `portcullis serve`.
"
    )
}
