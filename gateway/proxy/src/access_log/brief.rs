//! The short format: what somebody who watches a terminal wants to know of an exchange.

use std::fmt::Write as _;

use tidegate_core::time::rfc3339;

use super::Record;
use super::escape;

/// Where the time of day is in a time with its date.
const TIME_OF_DAY: std::ops::Range<usize> = 11..23;

/// Writes `12:05:26.723 200 GET /cart 1.9 ms -> default/app`, and why it did not go well.
pub(super) fn line(out: &mut String, record: &Record<'_>) -> std::fmt::Result {
    let time = rfc3339(record.unix_millis);
    let time = time.get(TIME_OF_DAY).unwrap_or(&time);
    write!(out, "{time} ")?;
    match record.status {
        0 => out.push_str(record.protocol),
        status => write!(out, "{status} {}", record.method)?,
    }
    out.push(' ');
    escape(out, record.path);
    write!(out, " {:.1} ms", record.duration.as_secs_f64() * 1_000.0)?;
    if !record.backend.is_empty() {
        out.push_str(" -> ");
        escape(out, record.backend.as_bytes());
    }
    for (before, text) in [(" ", record.flag.as_bytes()), (": ", record.details)] {
        if !text.is_empty() {
            out.push_str(before);
            escape(out, text);
        }
    }
    out.push('\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Record;
    use super::line;

    fn written(record: &Record<'_>) -> String {
        let mut out = String::new();
        line(&mut out, record).expect("written");
        out
    }

    #[test]
    fn a_line_says_what_was_asked_what_came_of_it_and_why() {
        let went_well = Record {
            unix_millis: 951_782_400_123,
            method: "GET",
            path: b"/cart?page=\x1b",
            protocol: "HTTP/1.1",
            status: 200,
            duration: Duration::from_micros(1_940),
            backend: "default/app",
            ..Record::of_connection()
        };
        assert_eq!(
            written(&went_well),
            "00:00:00.123 200 GET /cart?page=\\u001b 1.9 ms -> default/app\n"
        );
        let refused = Record {
            status: 401,
            flag: "local_response",
            details: b"denied",
            backend: "",
            path: b"/",
            ..went_well
        };
        assert_eq!(
            written(&refused),
            "00:00:00.123 401 GET / 1.9 ms local_response: denied\n"
        );
    }
}
