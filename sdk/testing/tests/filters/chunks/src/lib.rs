//! A filter of the harness's own tests: it hides a word in answers, wherever they are cut, makes
//! requests shout, and looks at trailers.

use tidegate_sdk::prelude::*;

const WORD: &[u8] = b"secret";

/// Hides a word.
#[filter]
pub async fn chunks(mut req: Request, next: Next, cx: &Cx) -> Result<Response> {
    if req.path() == "/shout" {
        req.map_chunks(|part, _end| Ok(part.to_ascii_uppercase()))?;
    }
    req.map_trailers(|trailers| trailers.set("x-seen", "by the filter"));
    let mut res = next.run(req).await?;
    let hidden = cx.counter("hidden");
    let mut kept = Vec::new();
    res.map_chunks(move |part, end| {
        kept.extend_from_slice(&part);
        let (out, count) = hide(&mut kept, end);
        hidden.add(count);
        Ok(out)
    })?;
    res.map_trailers(|trailers| {
        trailers.remove("x-internal");
        trailers.set("x-checked", "yes")
    });
    Ok(res)
}

/// What can go on of `kept`, with the words in it hidden; the rest stays.
fn hide(kept: &mut Vec<u8>, end: bool) -> (Vec<u8>, u32) {
    let mut out = Vec::new();
    let mut count = 0;
    while let Some(at) = kept.windows(WORD.len()).position(|it| it == WORD) {
        out.extend(kept.drain(..at));
        kept.drain(..WORD.len());
        out.extend_from_slice(b"******");
        count += 1;
    }
    let begins = |tail: &[u8]| WORD.starts_with(tail);
    let longest = kept.len().min(WORD.len() - 1);
    let stays = (1..=longest)
        .rev()
        .find(|length| kept.get(kept.len() - length..).is_some_and(begins));
    let stays = if end { 0 } else { stays.unwrap_or(0) };
    out.extend(kept.drain(..kept.len() - stays));
    (out, count)
}
