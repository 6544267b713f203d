//! What an honest app-server does not do.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::wish::Fault;

/// More than the longest line that the gateway reads.
const ENDLESS: usize = 66 << 20;
/// How many notifications nobody asked for.
const FLOOD: usize = 20_000;

/// Does it, in the middle of a turn whose lines so far are in `out`. Cancelling `hears` closes the input.
pub(super) async fn commit(
    fault: Fault,
    out: &mut Vec<u8>,
    outbox: &mpsc::Sender<Vec<u8>>,
    hears: &CancellationToken,
) {
    match fault {
        Fault::BadUtf8 => out.extend_from_slice(b"{\"method\":\"\xff\xfe\"}\n"),
        Fault::NotJson => out.extend_from_slice(b"Segmentation fault\n"),
        Fault::EndlessLine => out.extend(std::iter::repeat_n(b'x', ENDLESS)),
        Fault::Unknown => {
            out.extend_from_slice(b"{\"method\":\"thread/somethingNew\",\"params\":{\"threadId\":7}}\n");
            out.extend_from_slice(b"{\"method\":\"item/started\",\"params\":{\"shape\":\"another\"}}\n");
            out.extend_from_slice(b"{\"id\":\"ask-1\",\"method\":\"item/question\",\"params\":{}}\n");
        }
        Fault::Flood => {
            let line = b"{\"method\":\"item/agentMessage/delta\",\"params\":{\"threadId\":\"other\",\"turnId\":\"other\",\"itemId\":\"m\",\"delta\":\"not yours\"}}\n";
            out.extend_from_slice(&line.repeat(FLOOD));
        }
        // Told by what does not come, or not in time.
        Fault::Silent | Fault::NoEnd | Fault::ReplyMidway | Fault::ReplyLast => {}
        Fault::Close => {
            let _written = outbox.send(std::mem::take(out)).await;
            let _closed = outbox.send(Vec::new()).await;
        }
        Fault::Deaf => hears.cancel(),
        Fault::Die => std::process::abort(),
    }
}
