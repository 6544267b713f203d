//! Who is signed in and how much of the limits is used, as Codex says when it is asked: without a gateway.

use std::fmt::Write as _;

use anyhow::bail;
use jiff::Timestamp;
use portcullis_codex::AccountNow;
use portcullis_http::account_as_json;
use serde_json::json;

use super::push_limits;
use crate::config::Config;
use crate::environment::Environment;
use crate::{gateway, print};

pub(super) async fn run(config: &Config, environment: &Environment, as_json: bool) -> anyhow::Result<()> {
    let binary = gateway::find_codex(config.codex.bin.as_deref(), environment).await?;
    let confined = gateway::decide_confinement(config, &binary).await?;
    let home = &config.codex.home;
    let account = portcullis_codex::account_now(&binary, home, &confined.confinement).await?;
    let Some(AccountNow { who, limits }) = account else {
        if as_json {
            print::page(&json!({"login": null, "account": null}).to_string())?;
        }
        bail!("nobody is signed in in `{home}`\n(hint: `portcullis login`)");
    };
    let windows = limits.map(account_as_json);
    if as_json {
        return Ok(print::page(&json!({"login": who, "account": windows.ok()}).to_string())?);
    }
    let mut page = format!("Signed in with {who}.\n");
    match windows {
        Ok(windows) => push_limits(&mut page, &windows, Timestamp::now()),
        Err(why) => {
            let _ = writeln!(page, "  {:<8} {:<14} not told: {why}", "limit", "–");
        }
    }
    Ok(print::page(&page)?)
}
