//! The form in which reports are compared: without what proxies may order as they like.
//!
//! Body callbacks that only pass a piece on are left out if another follows: how a body is cut into
//! pieces is nobody's promise. The end of streams (`log`, `done`, `delete`) comes last, stream by
//! stream in this order: Envoy logs before `done`, the specification after it, and a case of its own
//! looks at that.

/// A line that begins a callback, with the lines of its statements.
#[derive(Debug)]
struct Block<'a> {
    head: &'a str,
    lines: Vec<&'a str>,
}

impl Block<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.head);
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Its place in the end of a stream, if it is part of one.
    fn end(&self) -> Option<(usize, usize)> {
        let name = stream(self.head)?;
        let number = name.rsplit(" s").next()?.parse().ok()?;
        let callback = self.head.strip_prefix(name)?.trim_start();
        let place = ["log", "done", "delete"]
            .iter()
            .position(|it| *it == callback)?;
        Some((number, place))
    }

    /// Whether it passes a piece of a body on, and `next` is called for the next one.
    fn is_followed_by(&self, next: &Block<'_>) -> bool {
        let begin = |block: &Block<'_>| block.head.split(" end=").next().map(str::to_owned);
        self.lines.is_empty()
            && self.head.ends_with("_body end=false")
            && begin(self) == begin(next)
    }
}

/// The name of the stream that a line is about: `a s1`.
pub(crate) fn stream(line: &str) -> Option<&str> {
    let mut spaces = line.match_indices(' ').map(|(at, _)| at);
    let (plugin, label) = (spaces.next()?, spaces.next()?);
    let number = line.get(plugin + 1..label)?.strip_prefix('s')?;
    let is_stream = plugin > 0 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_stream.then(|| line.get(..label)).flatten()
}

/// The report in the form that is compared.
pub(crate) fn canonical(report: &str) -> String {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in report.lines() {
        match blocks.last_mut() {
            Some(block) if line.starts_with(' ') => block.lines.push(line),
            _ => blocks.push(Block {
                head: line,
                lines: Vec::new(),
            }),
        }
    }
    let (mut ends, blocks): (Vec<_>, Vec<_>) =
        blocks.into_iter().partition(|block| block.end().is_some());
    ends.sort_by_key(Block::end);
    let mut text = String::new();
    for (at, block) in blocks.iter().enumerate() {
        let mut later = blocks.iter().skip(at + 1);
        if !later.any(|next| block.is_followed_by(next)) {
            text.push_str(&block.text());
        }
    }
    text.extend(ends.iter().map(Block::text));
    text
}

#[test]
fn pieces_are_folded_and_ends_come_last() {
    let report = "a s1 request_headers end=false\n  log -> 0\na s1 request_body end=false\n\
                  a s1 request_body end=true\na s1 log\n  x -> 1\nb s2 log\na s1 done\na s1 delete\n\
                  a root tick\nb s2 delete\n";
    let expected = "a s1 request_headers end=false\n  log -> 0\na s1 request_body end=true\n\
                    a root tick\na s1 log\n  x -> 1\na s1 done\na s1 delete\nb s2 log\nb s2 delete\n";
    assert_eq!(canonical(report), expected);
}
