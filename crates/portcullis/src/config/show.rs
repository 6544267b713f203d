//! The whole configuration as text: every key, its value and where it came from.

use std::fmt::Write as _;

use camino::Utf8Path;

use super::Origin;
use super::reader::Setting;

/// Wider lines keep their comment close instead of pushing all others out.
const WIDEST: usize = 60;

/// TOML that can be loaded again, but for hidden texts.
pub(super) fn show(file: Option<&Utf8Path>, settings: &[Setting]) -> String {
    let mut page = match file {
        Some(path) => format!("# file: {path}\n"),
        None => "# file: none\n".to_owned(),
    };
    let lines: Vec<_> = settings
        .iter()
        .map(|setting| match &setting.value {
            Some(value) => format!("{} = {value}", setting.key),
            None => format!("# {} is not set", setting.key),
        })
        .collect();
    let width =
        lines.iter().map(|line| line.chars().count()).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    for (line, setting) in lines.iter().zip(settings) {
        let _ = match (&setting.value, &setting.origin, &setting.default) {
            (None, ..) => writeln!(page, "{line}"),
            (_, Origin::Default, _) | (_, _, None) => writeln!(page, "{line:width$}  # {}", setting.origin),
            (_, origin, Some(default)) => writeln!(page, "{line:width$}  # {origin} (default {default})"),
        };
    }
    page
}
