//! A network filter of the harness's own tests: connections that begin with a word.

use tidegate_sdk::config::Backend;
use tidegate_sdk::prelude::*;

/// What the plugin is configured with.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// What clients must say first; nothing is asked of them without it.
    #[config(default = "")]
    word: String,
    /// Who is asked whether anybody may connect.
    ask: Option<Backend>,
}

/// Lets connections pass that begin with a word; commands go on in lower case, answers in upper.
#[network_filter(config = Config)]
pub async fn gate(mut conn: Connection, cx: &Cx<Config>) -> Result<()> {
    let guard = Guard(cx.counter("dropped"));
    let word = cx.config.word.as_bytes();
    if !word.is_empty() {
        let hello = cx
            .timeout(Duration::from_secs(2), conn.peek(word.len()))
            .await??;
        if hello.starts_with(b"panic") {
            wrong_turn(&hello);
        }
        if !hello.starts_with(word) {
            cx.counter("refused").add(1);
            return Err(Deny::forbidden().into());
        }
    }
    if let Some(backend) = &cx.config.ask {
        let reply = cx.backend(backend).get("/").send().await?;
        (reply.status() == 200).or_deny(Deny::forbidden())?;
    }
    guard.keep();
    conn.map_from_client(|part, _end| {
        if part.contains(&b'!') {
            return Err(Error::new("nobody shouts here"));
        }
        Ok(part.to_ascii_lowercase())
    })?;
    conn.map_from_backend(|part, _end| Ok(part.to_ascii_uppercase()))
}

/// An author's mistake.
#[expect(clippy::panic, reason = "what a test looks at")]
fn wrong_turn(hello: &[u8]) {
    panic!("a wrong turn after {} bytes", hello.len());
}

/// Counts futures that are dropped before they have decided.
struct Guard(tidegate_sdk::metrics::Counter);

impl Guard {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.add(1);
    }
}
