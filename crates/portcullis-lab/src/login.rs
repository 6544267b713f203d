//! A login of nobody.
//!
//! Codex offers its function that draws only to a ChatGPT login. Where the model server is this lab, there is none and
//! none is needed: this is the form of one, with no secret in it, no signature, and names that say what it is. It is
//! good for nothing but a server that does not look.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The text of an `auth.json` that is nobody's.
pub fn nobodys_login() -> String {
    let claims = json!({
        "email": "nobody@lab.invalid",
        // The year 2100: it never needs to be renewed, so that nobody is asked to.
        "exp": 4_102_444_800_u64,
        "https://api.openai.com/auth": {
            "chatgpt_plan_type": "plus",
            "chatgpt_user_id": "nobody",
            "chatgpt_account_id": "nobody",
        },
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!(
        "{}.{}.{}",
        part(&json!({"alg": "none", "typ": "JWT"})),
        part(&claims),
        part(&json!("unsigned"))
    );
    let login = json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": token, "access_token": token, "refresh_token": "none", "account_id": "nobody",
        },
        "last_refresh": "2026-01-01T00:00:00Z",
    });
    login.to_string()
}
