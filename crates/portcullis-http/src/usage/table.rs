//! Sums as JSON and as CSV.

use portcullis_store::{Grouping, LedgerSum};
use serde_json::{Map, Value, json};

/// The counts of a sum, under their names.
fn counts(sum: &LedgerSum) -> [(&'static str, u64); 8] {
    let tally = sum.tally;
    [
        ("turns", tally.turns),
        ("failed_turns", tally.failed),
        ("unreported_turns", tally.unreported),
        ("input_tokens", tally.input),
        ("cached_input_tokens", tally.cached_input),
        ("output_tokens", tally.output),
        ("reasoning_tokens", tally.reasoning),
        ("pictures", tally.pictures),
    ]
}

/// What a sum is of, under its names; what did not stay apart is left out.
fn labels(sum: &LedgerSum, by: Grouping) -> Vec<(&'static str, String)> {
    let mut labels = Vec::new();
    if by.day {
        labels.push(("day", sum.day.map(|day| day.to_string()).unwrap_or_default()));
    }
    if by.principal {
        let principal = sum.principal.as_ref().map_or("", |principal| principal.as_str());
        let (key, name) = principal.split_once(':').unwrap_or((principal, ""));
        labels.extend([("key", key.to_owned()), ("name", name.to_owned())]);
    }
    if by.model {
        labels.push(("model", sum.model.as_ref().map_or("", |model| model.as_str()).to_owned()));
    }
    labels
}

/// The sums as an answer of the API.
pub fn usage_as_json(sums: &[LedgerSum], by: Grouping) -> Value {
    let row = |sum: &LedgerSum| {
        let labels = labels(sum, by).into_iter().map(|(name, text)| (name.to_owned(), Value::from(text)));
        let counts = counts(sum).into_iter().map(|(name, count)| (name.to_owned(), Value::from(count)));
        Value::Object(labels.chain(counts).collect::<Map<_, _>>())
    };
    json!({"object": "list", "data": sums.iter().map(row).collect::<Vec<_>>()})
}

/// The sums as CSV (RFC 4180), with a line of names. A spreadsheet takes no cell of it for a formula.
pub fn usage_as_csv(sums: &[LedgerSum], by: Grouping) -> Result<Vec<u8>, csv::Error> {
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let empty =
        LedgerSum { day: None, principal: None, model: None, tally: portcullis_store::Tally::default() };
    let names = labels(&empty, by).into_iter().map(|(name, _)| name);
    table.write_record(names.chain(counts(&empty).map(|(name, _)| name)))?;
    for sum in sums {
        let labels = labels(sum, by).into_iter().map(|(_, text)| harmless(text));
        table.write_record(labels.chain(counts(sum).map(|(_, count)| count.to_string())))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

/// Spreadsheets run what begins like this, and show a text that begins with an apostrophe.
fn harmless(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use portcullis_store::Tally;

    use super::*;

    fn sum(principal: &str, model: &str) -> LedgerSum {
        let tally = Tally {
            turns: 1,
            failed: 2,
            unreported: 3,
            input: 4,
            cached_input: 5,
            output: 6,
            reasoning: 7,
            pictures: 8,
        };
        LedgerSum {
            day: Some(date(2026, 11, 28)),
            principal: Some(principal.into()),
            model: Some(model.into()),
            tally,
        }
    }

    #[test]
    fn the_columns_are_those_that_were_asked_for_and_cells_run_nothing() {
        let all = Grouping { day: true, principal: true, model: true };
        let sums = [
            sum("k1:my app", "gpt-5.5"),
            sum("k2:=cmd|' /C calc'!A0", "-1+1"),
            sum("k3:a, \"b\"\r\nc", "@SUM(A1)"),
            sum("k4:\tx:y", "gpt-5.5"),
        ];
        let csv = String::from_utf8(usage_as_csv(&sums, all).unwrap()).unwrap();
        assert_eq!(
            csv,
            "day,key,name,model,turns,failed_turns,unreported_turns,input_tokens,cached_input_tokens,output_tokens,reasoning_tokens,pictures\r\n\
             2026-11-28,k1,my app,gpt-5.5,1,2,3,4,5,6,7,8\r\n\
             2026-11-28,k2,'=cmd|' /C calc'!A0,'-1+1,1,2,3,4,5,6,7,8\r\n\
             2026-11-28,k3,\"a, \"\"b\"\"\r\nc\",'@SUM(A1),1,2,3,4,5,6,7,8\r\n\
             2026-11-28,k4,'\tx:y,gpt-5.5,1,2,3,4,5,6,7,8\r\n"
        );
        let by_model = Grouping { model: true, ..Grouping::default() };
        let csv = String::from_utf8(usage_as_csv(&[], by_model).unwrap()).unwrap();
        assert!(csv.starts_with("model,turns,") && csv.lines().count() == 1, "{csv}");
        assert_eq!(
            usage_as_json(&sums[..1], by_model),
            json!({"object": "list", "data": [{
                "model": "gpt-5.5", "turns": 1, "failed_turns": 2, "unreported_turns": 3, "input_tokens": 4,
                "cached_input_tokens": 5, "output_tokens": 6, "reasoning_tokens": 7, "pictures": 8,
            }]})
        );
    }
}
