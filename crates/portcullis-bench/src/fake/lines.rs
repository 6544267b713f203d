//! The notifications of one scripted turn, in the form and order of the real ones.

use std::io::Write as _;

/// The notifications of one scripted turn.
pub(super) struct TurnLines {
    pub(super) turn: String,
    /// `"threadId":"…","turnId":"…"`.
    address: String,
    thread: String,
}

impl TurnLines {
    /// A thread has one turn here, so both ids differ only in their first group.
    pub(super) fn new(thread: &str) -> Self {
        let turn = format!("019ac001{}", thread.get(8..).unwrap_or_default());
        let address = format!(r#""threadId":"{thread}","turnId":"{turn}""#);
        Self { turn, address, thread: thread.to_owned() }
    }

    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        let written = writeln!(
            out,
            r#"{{"method":"turn/started","params":{{"threadId":"{}","turn":{{"id":"{}","status":"inProgress"}}}}}}"#,
            self.thread, self.turn
        );
        written.expect("memory can be written to");
        let item = r#"{"type":"agentMessage","id":"msg_1","text":""}"#;
        self.line("item/started", &format!(r#""item":{item}"#), out);
    }

    /// The text is written as it is: it must not need escaping.
    pub(super) fn delta(&self, text: &str, out: &mut Vec<u8>) {
        let written = writeln!(
            out,
            r#"{{"method":"item/agentMessage/delta","params":{{{},"itemId":"msg_1","delta":"{text}"}}}}"#,
            self.address
        );
        written.expect("memory can be written to");
    }

    pub(super) fn end(&self, text: &str, status: &str, out: &mut Vec<u8>) {
        let item = format!(r#""item":{{"type":"agentMessage","id":"msg_1","text":"{text}"}}"#);
        self.line("item/completed", &item, out);
        let usage =
            r#""usage":{"inputTokens":10,"cachedInputTokens":0,"outputTokens":20,"reasoningOutputTokens":0}"#;
        self.line("rawResponse/completed", usage, out);
        let written = writeln!(
            out,
            r#"{{"method":"turn/completed","params":{{"threadId":"{}","turn":{{"id":"{}","status":"{status}","error":null}}}}}}"#,
            self.thread, self.turn
        );
        written.expect("memory can be written to");
    }

    fn line(&self, method: &str, more: &str, out: &mut Vec<u8>) {
        let written = writeln!(out, r#"{{"method":"{method}","params":{{{},{more}}}}}"#, self.address);
        written.expect("memory can be written to");
    }
}
