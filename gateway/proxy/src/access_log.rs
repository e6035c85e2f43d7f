//! One line per exchange, and per connection that is passed on as bytes.
//!
//! Owns the record, its formats and the way to the sink: each worker gathers lines in a buffer
//! of its own and hands full buffers to a writer thread, so that a slow terminal or disk never
//! stops traffic. What clients sent is escaped.

mod brief;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tidegate_core::snapshot::AccessLog as Format;
use tidegate_core::time::rfc3339;

/// What happened in one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) unix_millis: u64,
    pub(crate) listener: &'a str,
    /// The rule that had it; empty if none.
    pub(crate) route: &'a str,
    pub(crate) client: IpAddr,
    pub(crate) method: &'a str,
    pub(crate) authority: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) protocol: &'a str,
    /// 0 for a connection without requests.
    pub(crate) status: u16,
    /// Why it did not end with a forwarded response; empty if it did.
    pub(crate) flag: &'a str,
    pub(crate) details: &'a [u8],
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) duration: Duration,
    pub(crate) backend: &'a str,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) attempts: u32,
    pub(crate) request_id: &'a [u8],
    pub(crate) user_agent: &'a [u8],
}

impl Record<'_> {
    /// The record of a connection without requests, of which nothing is known yet.
    pub(crate) fn of_connection() -> Self {
        Self {
            unix_millis: 0,
            listener: "",
            route: "",
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            method: "-",
            authority: b"",
            path: b"-",
            protocol: "TCP",
            status: 0,
            flag: "",
            details: b"",
            received: 0,
            sent: 0,
            duration: Duration::ZERO,
            backend: "",
            endpoint: None,
            attempts: 0,
            request_id: b"",
            user_agent: b"",
        }
    }
}

/// A worker's end of the log.
#[derive(Debug)]
pub(crate) struct AccessLog {
    buffer: RefCell<String>,
    sink: SyncSender<String>,
}

/// A buffer is handed over when it holds so much, or when the worker's timer says so.
const HAND_OVER: usize = 32 * 1024;
/// Buffers waiting for the writer thread; more are dropped and counted.
const WAITING: usize = 256;

impl AccessLog {
    pub(crate) fn new(sink: SyncSender<String>) -> Self {
        Self {
            buffer: RefCell::default(),
            sink,
        }
    }

    pub(crate) fn record(&self, format: Format, record: &Record<'_>) {
        let mut buffer = self.buffer.borrow_mut();
        // Writing to a String cannot fail.
        match format {
            Format::Off => return,
            Format::Text => text(&mut buffer, record).ok(),
            Format::Json => json(&mut buffer, record).ok(),
            Format::Brief => brief::line(&mut buffer, record).ok(),
        };
        if buffer.len() >= HAND_OVER {
            self.hand_over(&mut buffer);
        } else if format == Format::Brief {
            self.offer(&mut buffer);
        }
    }

    /// Hands over what was gathered, if the writer is not behind.
    fn offer(&self, buffer: &mut String) {
        if let Err(TrySendError::Full(text)) = self.sink.try_send(std::mem::take(buffer)) {
            *buffer = text;
        }
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&self) {
        self.hand_over(&mut self.buffer.borrow_mut());
    }

    fn hand_over(&self, buffer: &mut String) {
        if buffer.is_empty() {
            return;
        }
        match self.sink.try_send(std::mem::take(buffer)) {
            Ok(()) => {}
            Err(TrySendError::Full(lost)) => {
                let lines = lost.lines().count();
                tracing::warn!(lines, "access log lines lost: the log's reader is too slow");
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Starts the thread that writes buffers to `out`; it ends when all senders are gone.
pub(crate) fn start_writer(
    mut out: Box<dyn Write + Send>,
) -> std::io::Result<(SyncSender<String>, JoinHandle<()>)> {
    let (sink, buffers) = sync_channel::<String>(WAITING);
    let thread = std::thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || {
            for buffer in buffers {
                let wrote = out.write_all(buffer.as_bytes()).and_then(|()| out.flush());
                if let Err(err) = wrote {
                    tracing::error!(%err, "access log cannot be written; it is off from here on");
                    return;
                }
            }
        })?;
    Ok((sink, thread))
}

fn text(out: &mut String, record: &Record<'_>) -> std::fmt::Result {
    let Record {
        unix_millis,
        listener,
        route,
        client,
        method,
        authority,
        path,
        protocol,
        status,
        flag,
        details,
        received,
        sent,
        duration,
        backend,
        endpoint,
        attempts,
        request_id,
        user_agent,
    } = *record;
    write!(
        out,
        "{} {listener} {client} \"{method} ",
        rfc3339(unix_millis)
    )?;
    escape(out, path);
    write!(out, " {protocol}\" {status} {} ", or_dash(flag))?;
    write!(
        out,
        "in={received} out={sent} ms={:.3} ",
        duration.as_secs_f64() * 1_000.0
    )?;
    write!(
        out,
        "route={} backend={} endpoint=",
        or_dash(route),
        or_dash(backend)
    )?;
    match endpoint {
        Some(endpoint) => write!(out, "{endpoint}")?,
        None => out.push('-'),
    }
    write!(out, " attempts={attempts} id=\"")?;
    escape(out, request_id);
    out.push_str("\" host=\"");
    escape(out, authority);
    out.push_str("\" agent=\"");
    escape(out, user_agent);
    if !details.is_empty() {
        out.push_str("\" details=\"");
        escape(out, details);
    }
    out.push_str("\"\n");
    Ok(())
}

fn json(out: &mut String, record: &Record<'_>) -> std::fmt::Result {
    let Record {
        unix_millis,
        listener,
        route,
        client,
        method,
        authority,
        path,
        protocol,
        status,
        flag,
        details,
        received,
        sent,
        duration,
        backend,
        endpoint,
        attempts,
        request_id,
        user_agent,
    } = *record;
    write!(
        out,
        "{{\"time\":\"{}\",\"listener\":\"",
        rfc3339(unix_millis)
    )?;
    escape(out, listener.as_bytes());
    write!(out, "\",\"client\":\"{client}\",\"method\":\"")?;
    escape(out, method.as_bytes());
    out.push_str("\",\"host\":\"");
    escape(out, authority);
    out.push_str("\",\"path\":\"");
    escape(out, path);
    write!(
        out,
        "\",\"protocol\":\"{protocol}\",\"status\":{status},\"reason\":\"{flag}\""
    )?;
    out.push_str(",\"details\":\"");
    escape(out, details);
    let millis = duration.as_secs_f64() * 1_000.0;
    write!(
        out,
        "\",\"bytes_in\":{received},\"bytes_out\":{sent},\"duration_ms\":{millis:.3}"
    )?;
    out.push_str(",\"route\":\"");
    escape(out, route.as_bytes());
    out.push_str("\",\"backend\":\"");
    escape(out, backend.as_bytes());
    out.push_str("\",\"endpoint\":");
    match endpoint {
        Some(endpoint) => write!(out, "\"{endpoint}\"")?,
        None => out.push_str("null"),
    }
    write!(out, ",\"attempts\":{attempts},\"request_id\":\"")?;
    escape(out, request_id);
    out.push_str("\",\"user_agent\":\"");
    escape(out, user_agent);
    out.push_str("\"}\n");
    Ok(())
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Appends text that a peer chose: printable ASCII as it is, all else as `\u00XX`, which both
/// formats' readers understand. A forged line or a terminal escape cannot be written.
fn escape(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                write!(out, "\\u{byte:04x}").ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_forged_line_cannot_be_written() {
        let mut out = String::new();
        escape(&mut out, b"a\"b\\c\r\n\x1b[31m\xff");
        assert_eq!(out, r#"a\"b\\c\u000d\u000a\u001b[31m\u00ff"#);
    }
}
