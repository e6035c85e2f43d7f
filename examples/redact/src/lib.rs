//! Takes words out of responses while they stream: however long they are, little is kept.

use memchr::memmem;
use tidegate_sdk::prelude::*;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// What must not reach clients. Upper and lower case are different.
    #[config(min_len = 1)]
    words: Vec<String>,
    /// What they get instead.
    #[config(default = "***")]
    replacement: String,
}

/// Redacts text and JSON; everything else passes untouched.
#[filter(config = Config)]
pub async fn redact(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    // Words cannot be found in what is compressed.
    req.headers_mut().remove("accept-encoding");
    let mut res = next.run(req).await?;
    let kind = res.header("content-type").unwrap_or_default();
    if kind.starts_with("text/") || kind.contains("json") {
        let (cx, kept) = (cx.clone(), Vec::new());
        let mut redactor = Redactor { cx, kept };
        res.map_chunks(move |part, end| Ok(redactor.push(part, end)))?;
    }
    Ok(res)
}

/// Finds words across the parts in which a body comes.
struct Redactor {
    cx: Cx<Config>,
    /// The end of what came: it may be the beginning of a word.
    kept: Vec<u8>,
}

impl Redactor {
    fn push(&mut self, part: Vec<u8>, end: bool) -> Vec<u8> {
        self.kept.extend_from_slice(&part);
        let longest = self
            .cx
            .config
            .words
            .iter()
            .map(String::len)
            .max()
            .unwrap_or(0);
        let mut out = Vec::with_capacity(self.kept.len());
        let mut rest = &self.kept[..];
        while let Some((at, word)) = first(rest, &self.cx.config.words) {
            // A longer word may begin here, too, and its end has not come.
            if !end && rest.len() - at < longest {
                break;
            }
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before);
            out.extend_from_slice(self.cx.config.replacement.as_bytes());
            rest = after.get(word..).unwrap_or_default();
        }
        let keep = if end {
            0
        } else {
            rest.len().min(longest.saturating_sub(1))
        };
        let (gone, kept) = rest.split_at(rest.len() - keep);
        out.extend_from_slice(gone);
        self.kept = kept.to_vec();
        out
    }
}

/// Where the first word begins, and how long it is; the longest of those that begin there.
fn first(text: &[u8], words: &[String]) -> Option<(usize, usize)> {
    let found = words
        .iter()
        .filter_map(|word| Some((memmem::find(text, word.as_bytes())?, word.len())));
    found.min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)))
}
