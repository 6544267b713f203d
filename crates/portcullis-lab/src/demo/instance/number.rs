//! A number for a number schema: zero if it may be, else the nearest that may.

use serde_json::{Number, Value};

/// Which numbers are allowed between the bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grain {
    Any,
    Whole,
}

/// `None` if the schema allows no number that this finds.
pub(super) fn of(schema: &Value, grain: Grain) -> Option<Value> {
    let word = |name: &str| schema[name].as_f64();
    let step = word("multipleOf").filter(|step| *step > 0.0);
    let low = bound(word("minimum"), word("exclusiveMinimum"), f64::max);
    let high = bound(word("maximum"), word("exclusiveMaximum"), f64::min);
    let fits = |number: f64| {
        low.is_none_or(|(low, closed)| number > low || closed && number >= low)
            && high.is_none_or(|(high, closed)| number < high || closed && number <= high)
    };
    let step = match grain {
        Grain::Any => step,
        // A fraction that divides 1 is satisfied by every whole number.
        Grain::Whole => Some(step.filter(|step| step.fract() == 0.0).unwrap_or(1.0)),
    };
    let mut candidates = vec![0.0];
    for (edge, outward) in [(low, 1.0), (high, -1.0)] {
        let Some((edge, _)) = edge else { continue };
        match step {
            // The multiple at the edge, and the next one inside in case the edge itself is excluded.
            Some(step) => {
                let near = if outward > 0.0 { (edge / step).ceil() } else { (edge / step).floor() };
                candidates.extend([near * step, (near + outward) * step]);
            }
            None => candidates.extend([edge, edge + outward]),
        }
    }
    if let (None, Some((low, _)), Some((high, _))) = (step, low, high) {
        candidates.push(f64::midpoint(low, high));
    }
    candidates.into_iter().find(|number| fits(*number)).and_then(written)
}

/// The stricter of an inclusive and an exclusive bound, and whether it is itself allowed.
fn bound(closed: Option<f64>, open: Option<f64>, stricter: fn(f64, f64) -> f64) -> Option<(f64, bool)> {
    match (closed, open) {
        (Some(closed), Some(open)) => {
            let bound = stricter(closed, open);
            #[expect(clippy::float_cmp, reason = "one of the two was copied")]
            Some((bound, bound != open))
        }
        (Some(closed), None) => Some((closed, true)),
        (None, Some(open)) => Some((open, false)),
        (None, None) => None,
    }
}

/// Whole numbers without a fraction, as an integer schema wants them.
fn written(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough to be exact")]
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}
