//! Where a piece of work stands in a distributed trace: [W3C Trace Context](https://www.w3.org/TR/trace-context-1/).

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::Arc;

/// The longest `tracestate` that is passed on, in bytes; the specification asks for no more.
const MOST_STATE: usize = 512;
/// The flag of a trace that is kept by whoever began it.
const SAMPLED: u8 = 1;

/// A place in a trace: below it stands what is done next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceContext {
    trace: NonZeroU128,
    span: NonZeroU64,
    sampled: bool,
    state: Option<Arc<str>>,
    recorded: bool,
}

/// A piece of work of ours that somebody keeps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// Its own place.
    pub context: TraceContext,
    /// The span that it stands below; `None` where the trace begins with it.
    pub parent: Option<NonZeroU64>,
}

impl TraceContext {
    /// Reads the headers `traceparent` and `tracestate`. `None` where the first is not as the specification has it; a
    /// `tracestate` that can not be passed on is left out.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut fields = parent.splitn(5, '-');
        let version = hex(fields.next()?, 2)?;
        let trace = NonZeroU128::new(hex(fields.next()?, 32)?)?;
        let span = NonZeroU64::new(u64::try_from(hex(fields.next()?, 16)?).ok()?)?;
        let flags = u8::try_from(hex(fields.next()?, 2)?).ok()?;
        // Later versions may have more fields; this one has not, and ff is none.
        if version == 0xff || (version == 0 && fields.next().is_some()) {
            return None;
        }
        let state = state.map(str::trim).filter(|state| {
            (1..=MOST_STATE).contains(&state.len()) && state.bytes().all(|b| (b' '..=b'~').contains(&b))
        });
        let (sampled, state) = (flags & SAMPLED != 0, state.map(Arc::from));
        Some(Self { trace, span, sampled, state, recorded: false })
    }

    /// The first span of a new trace, which is kept. `None` where the system has no randomness.
    pub fn begin() -> Option<Span> {
        let halves = [getrandom::u64().ok()?, getrandom::u64().ok()?];
        let trace = NonZeroU128::new((u128::from(halves[0]) << 64) | u128::from(halves[1]))?;
        let context = Self { trace, span: new_span()?, sampled: true, state: None, recorded: true };
        Some(Span { context, parent: None })
    }

    /// The same place in a trace whose spans we keep.
    #[must_use]
    pub fn recorded(self) -> Self {
        Self { recorded: true, ..self }
    }

    /// Begins a piece of work below this place, which becomes the place of that work. `None`, and nothing changes, where
    /// nobody keeps our spans: the place is then passed on as it came.
    pub fn enter(&mut self) -> Option<Span> {
        let below = self.recorded.then(new_span)??;
        let parent = std::mem::replace(&mut self.span, below);
        Some(Span { context: self.clone(), parent: Some(parent) })
    }

    /// The trace.
    pub fn trace(&self) -> NonZeroU128 {
        self.trace
    }

    /// The trace as it stands in headers and logs: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The span.
    pub fn span(&self) -> NonZeroU64 {
        self.span
    }

    /// Whether whoever began the trace keeps it.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The header `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }

    /// The header `tracestate`.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

fn new_span() -> Option<NonZeroU64> {
    NonZeroU64::new(getrandom::u64().ok()?)
}

/// Exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_read_is_passed_on() {
        let read = TraceContext::parse(PARENT, Some(" congo=t61rcWkgMzE,rojo=1 ")).unwrap();
        assert_eq!(read.traceparent(), PARENT);
        assert_eq!(read.tracestate(), Some("congo=t61rcWkgMzE,rojo=1"));
        assert_eq!(read.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        // Flags of later versions are not ours to repeat.
        let later = TraceContext::parse(&format!("cc{}ff-what-ever", &PARENT[2..53]), None).unwrap();
        assert_eq!(later.traceparent(), PARENT);
        for unsampled in ["00", "02", "fe"] {
            let read = TraceContext::parse(&format!("{}{unsampled}", &PARENT[..53]), None).unwrap();
            assert!(!read.is_sampled() && read.traceparent().ends_with("-00"), "{unsampled}");
        }
    }

    #[test]
    fn what_is_not_as_specified_is_no_context() {
        let long = "x".repeat(MOST_STATE + 1);
        for (state, kept) in
            [("", false), ("a=1", true), ("a=\u{e9}", false), ("a=\n", true), (long.as_str(), false)]
        {
            let read = TraceContext::parse(PARENT, Some(state)).unwrap();
            assert_eq!(read.tracestate().is_some(), kept, "{state:?}");
        }
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn a_span_is_entered_only_where_somebody_keeps_it() {
        let mut place = TraceContext::parse(PARENT, None).unwrap();
        assert_eq!((place.enter(), place.traceparent()), (None, PARENT.to_owned()));
        let mut place = place.recorded();
        let span = place.enter().unwrap();
        assert_eq!(span.parent.map(|id| format!("{id:016x}")).as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(span.context, place);
        assert_ne!(place.traceparent(), PARENT);
        let root = TraceContext::begin().unwrap();
        assert_eq!((root.parent, root.context.is_sampled()), (None, true));
    }
}
