//! Server-sent events (WHATWG HTML, 9.2), one by one.
//!
//! Events are cut out of the parts in which a body comes, whatever the parts, and written again
//! with what the filter left of them. Comments pass untouched.

use crate::error::{Error, Result};

/// The longest event; a stream that has a longer one is cut.
const LONGEST: usize = 1024 * 1024;

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `event:`, if it is there.
    pub name: Option<String>,
    /// `data:` lines, joined by newlines.
    pub data: String,
    /// `id:`, if it is there.
    pub id: Option<String>,
    /// `retry:` in milliseconds, if it is there.
    pub retry: Option<u64>,
    /// There was a line of data, be it empty: without one an event is none to clients.
    has_data: bool,
}

/// Rewrites the events of a body.
pub(crate) struct EventRewriter {
    rewrite: Box<dyn FnMut(Event) -> Option<Event>>,
    kept: Vec<u8>,
    /// From where on `kept` was not looked through for an end of an event.
    seen: usize,
}

impl EventRewriter {
    pub(crate) fn new(rewrite: impl FnMut(Event) -> Option<Event> + 'static) -> Self {
        Self {
            rewrite: Box::new(rewrite),
            kept: Vec::new(),
            seen: 0,
        }
    }

    /// What may go on after `part` came.
    pub(crate) fn push(&mut self, part: &[u8], end: bool) -> Result<Vec<u8>> {
        self.kept.extend_from_slice(part);
        let mut out = Vec::with_capacity(part.len());
        let mut begin = 0;
        while let Some(event_end) = self.whole_event(end) {
            let event = self.kept.get(begin..event_end).unwrap_or_default().to_vec();
            begin = event_end;
            self.seen = event_end;
            self.put(&event, &mut out);
        }
        drop(self.kept.drain(..begin));
        self.seen = self.seen.saturating_sub(begin);
        if self.kept.len() > LONGEST {
            return Err(Error::new("a server-sent event of more than 1 MiB"));
        }
        if end {
            // The standard drops an event that does not end; we do not decide that.
            out.append(&mut self.kept);
        }
        Ok(out)
    }

    /// Where the event ends that begins at `seen`, with the empty line that ends it. A line ends with CR LF,
    /// LF or CR; a CR that is the last byte so far may be half of a CR LF.
    fn whole_event(&mut self, end: bool) -> Option<usize> {
        let bytes = &self.kept;
        let mut at = self.seen;
        let mut line = at;
        while let Some(byte) = bytes.get(at) {
            let ends = match byte {
                b'\n' => 1,
                b'\r' => match bytes.get(at + 1) {
                    Some(b'\n') => 2,
                    Some(_) => 1,
                    None if end => 1,
                    None => break,
                },
                _ => {
                    at += 1;
                    continue;
                }
            };
            let empty = at == line;
            at += ends;
            line = at;
            if empty {
                return Some(at);
            }
        }
        self.seen = line;
        None
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let text = crate::headers::text(bytes.to_vec());
        let lines = || lines(&text).filter(|line| !line.is_empty());
        for comment in lines().filter(|line| line.starts_with(':')) {
            out.extend_from_slice(comment.as_bytes());
            out.push(b'\n');
        }
        let Some(event) = parse(lines()) else {
            out.push(b'\n');
            return;
        };
        if let Some(event) = (self.rewrite)(event) {
            event.write(out);
        }
    }
}

/// Lines, however they end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Event> {
    let mut event = Event::default();
    let mut data: Option<String> = None;
    let mut any = false;
    for line in lines.filter(|line| !line.starts_with(':')) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        any = true;
        match field.strip_prefix('\u{feff}').unwrap_or(field) {
            "data" => match &mut data {
                Some(data) => data.extend(["\n", value]),
                None => data = Some(String::from(value)),
            },
            "event" => event.name = Some(String::from(value)),
            "id" => event.id = Some(String::from(value)),
            "retry" => event.retry = value.parse().ok(),
            _ => {}
        }
    }
    event.has_data = data.is_some();
    event.data = data.unwrap_or_default();
    any.then_some(event)
}

impl Event {
    fn write(&self, out: &mut Vec<u8>) {
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        };
        if let Some(name) = &self.name {
            field("event", name);
        }
        if let Some(id) = &self.id {
            field("id", id);
        }
        if let Some(retry) = self.retry {
            field("retry", &retry.to_string());
        }
        // A line of an event that a filter wrote cannot end the event.
        if self.has_data || !self.data.is_empty() {
            for line in self.data.split(['\n', '\r']) {
                field("data", line);
            }
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(parts: &[&[u8]]) -> String {
        let mut events = EventRewriter::new(|mut event| {
            if event.data == "drop" {
                return None;
            }
            event.data = event.data.replace("secret", "***");
            Some(event)
        });
        let last = parts.len() - 1;
        let out = parts
            .iter()
            .enumerate()
            .map(|(at, part)| events.push(part, at == last).expect("short events"));
        String::from_utf8(out.collect::<Vec<_>>().concat()).expect("text")
    }

    #[test]
    fn events_are_rewritten_the_same_at_every_split_and_line_end() {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = [
                ": hi",
                "event: a",
                "data: x secret",
                "data: y",
                "",
                "data: drop",
                "",
                "id: 7",
                "data",
                "",
                "",
            ];
            let stream = stream.join(line_end);
            let whole = rewritten(&[stream.as_bytes()]);
            assert_eq!(
                whole,
                ": hi\nevent: a\ndata: x ***\ndata: y\n\nid: 7\ndata: \n\n"
            );
            for at in 0..stream.len() {
                let (first, second) = stream.as_bytes().split_at(at);
                assert_eq!(rewritten(&[first, second]), whole, "split at {at}");
            }
        }
    }

    #[test]
    fn an_event_without_data_gets_none() {
        assert_eq!(
            rewritten(&[b"retry: 30\n\nid: 7\n\ndata\n\n"]),
            "retry: 30\n\nid: 7\n\ndata: \n\n"
        );
    }

    #[test]
    fn an_event_that_does_not_end_passes_as_it_is() {
        assert_eq!(
            rewritten(&[b"data: a\n\ndata: sec", b"ret"]),
            "data: a\n\ndata: secret"
        );
    }

    #[test]
    fn an_event_without_end_is_refused_at_its_limit() {
        let mut events = EventRewriter::new(Some);
        let part = vec![b'a'; LONGEST / 2];
        assert!(events.push(&part, false).is_ok());
        assert!(events.push(&part, false).is_ok());
        assert!(events.push(&part, false).is_err());
    }
}
