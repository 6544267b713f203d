//! The pages that are made from the program: what they say is what it says. With `UPDATE_REFERENCES=1` they are
//! written, otherwise compared.

#![expect(clippy::unwrap_used, reason = "a test that can not read what it is about has failed")]

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use portcullis_openai::chat::{self, Field, Treatment};
use portcullis_openai::responses;

/// The lists of fields that stand in docs/API.md, each between marks with its name.
const LISTS: [(&str, &[Field]); 2] = [("fields", chat::FIELDS), ("response-fields", responses::FIELDS)];

#[test]
fn the_configuration_page_is_what_the_program_says() {
    keep("CONFIG.md", |_| format!("{MADE}{}", program(&["config", "reference"])));
}

#[test]
fn the_command_line_page_is_every_help_text() {
    let mut page = format!("{MADE}# Command line\n");
    help(&mut Vec::new(), &mut page);
    keep("CLI.md", |_| page);
}

#[test]
fn the_api_page_has_every_field() {
    keep("API.md", |page| {
        LISTS.iter().fold(page.to_owned(), |page, (name, fields)| {
            let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
            let (before, rest) = page.split_once(&begin).expect("the mark where the fields begin");
            let (_, after) = rest.split_once(&end).expect("the mark where the fields end");
            format!("{before}{begin}\n{}{end}{after}", table(fields))
        })
    });
}

#[test]
fn the_metrics_page_lists_every_metric() {
    keep("METRICS.md", |_| {
        format!(
            "{MADE}# Metrics\n\n`GET /metrics`, with a key that has the scope `metrics`, as OpenMetrics text. Histograms have \
             `_bucket`, `_sum` and\n`_count`. No label takes a value from a client.\n\n{}",
            portcullis_http::Metrics::reference()
        )
    });
}

const MADE: &str = "<!-- Made by `UPDATE_REFERENCES=1 cargo test -p portcullis --test references`. -->\n\n";

/// Compares a page with what it should be, or writes it.
fn keep(name: &str, should_be: impl FnOnce(&str) -> String) {
    let path = docs().join(name);
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    let should_be = should_be(&is);
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no configuration, and this is for whoever runs it"
    )]
    let update = std::env::var("UPDATE_REFERENCES").is_ok_and(|value| value == "1");
    if update {
        std::fs::write(&path, should_be).unwrap();
    } else if let Some(line) = first_difference(&is, &should_be) {
        panic!("docs/{name}:{line} is not what the program says (hint: UPDATE_REFERENCES=1 writes it)");
    }
}

fn first_difference(is: &str, should_be: &str) -> Option<usize> {
    let same = is.lines().zip(should_be.lines()).take_while(|(one, other)| one == other).count();
    (is != should_be).then_some(same + 1)
}

fn docs() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The help of a command and of all commands below it, in the order in which it lists them.
fn help(command: &mut Vec<String>, page: &mut String) {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("--help");
    let text = program(&arguments);
    let title =
        ["portcullis"].into_iter().chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let _ = write!(page, "\n## `{title}`\n\n```text\n{}\n```\n", text.trim_end());
    let listed =
        text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Deeper lines go on with the words of the one above.
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        command.push(name.to_owned());
        help(command, page);
        command.pop();
    }
}

/// What the program prints, with no environment and no terminal.
fn program(arguments: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "the binary under test, as a shell would start it")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let printed = command.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap();
    assert!(printed.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8(printed.stdout).unwrap()
}

fn table(fields: &[Field]) -> String {
    let mut table = "\n| field | treatment | note |\n|---|---|---|\n".to_owned();
    for field in fields {
        let treatment = match field.treatment {
            Treatment::Used => "used",
            Treatment::Accepted => "accepted, without effect",
            Treatment::Sampling => "by `openai.sampling`",
            Treatment::Refused => "refused",
        };
        let note = if field.note.is_empty() { "–" } else { field.note };
        let _ = writeln!(table, "| `{}` | {treatment} | {} |", field.name, note.replace('|', "\\|"));
    }
    table.push('\n');
    table
}
