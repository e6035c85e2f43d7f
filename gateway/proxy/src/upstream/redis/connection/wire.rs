//! Bytes to and from a server, and what their errors mean.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::transport::WriteHalf;

/// Sends some of `out`; if it is empty, what is held back below, which counts as no byte.
pub(super) async fn push(half: &mut WriteHalf, out: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| {
        if out.is_empty() {
            half.poll_flush(cx).map_ok(|()| 0)
        } else {
            match std::task::ready!(half.poll_write(cx, out)) {
                Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                wrote => Poll::Ready(wrote),
            }
        }
    })
    .await
}

/// What a read came to: nothing is the end.
pub(super) fn read_some(read: io::Result<usize>) -> Result<(), String> {
    match read {
        Ok(0) => Err("the server closed the connection".to_owned()),
        Ok(_) => Ok(()),
        Err(err) => Err(broken(&err)),
    }
}

/// What an error of a connection is told as.
pub(super) fn broken(err: &io::Error) -> String {
    format!("the connection broke: {err}")
}
