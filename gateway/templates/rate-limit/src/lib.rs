//! Lets each client make so many requests in a time.

use tidegate_sdk::prelude::*;

/// What the Plugin's `config` says.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// How many requests a client may make in a window.
    #[config(min = 1)]
    pub requests: u32,
    /// How long a window is.
    #[config(default = "1s", min = "1ms", max = "1h")]
    pub window: Duration,
    /// The header that names the client; without it, their address does.
    pub header: Option<String>,
}

/// Lets each client make so many requests in a time. It runs once for each request.
#[filter(capabilities(shared_data))]
pub async fn rate_limit(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let client = match &cx.config.header {
        Some(name) => req.header(name),
        None => req.client_ip().map(|address| address.to_string()),
    };
    let client = client.unwrap_or_default();
    let now = cx.unix_time();
    let mut spent = Spent::default();
    // All workers count in the same place; this is tried again if another one was faster.
    cx.shared(&["rate-limit/", &client].concat())
        .update(|old| {
            spent = Spent::read(old).one_more(now, cx.config.window);
            Some(spent.written())
        })?;
    if spent.requests > cx.config.requests {
        cx.counter("limited").add(1);
        return Err(Deny::too_many_requests(spent.until.saturating_sub(now)).into());
    }
    next.run(req).await
}

/// What a client has used up.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    /// When the window ends, since 1970.
    until: Duration,
    requests: u32,
}

impl Spent {
    fn one_more(self, now: Duration, window: Duration) -> Self {
        if now >= self.until {
            return Self {
                until: now + window,
                requests: 1,
            };
        }
        Self {
            requests: self.requests.saturating_add(1),
            ..self
        }
    }

    /// What [`Spent::written`] wrote; nothing else is ever there.
    fn read(bytes: Option<&[u8]>) -> Self {
        let read = || {
            let (until, requests) = bytes?.split_at_checked(8)?;
            let until = u64::from_le_bytes(until.try_into().ok()?);
            let requests = u32::from_le_bytes(requests.try_into().ok()?);
            Some(Self {
                until: Duration::from_nanos(until),
                requests,
            })
        };
        read().unwrap_or_default()
    }

    fn written(self) -> Vec<u8> {
        let until = u64::try_from(self.until.as_nanos()).unwrap_or(u64::MAX);
        [&until.to_le_bytes()[..], &self.requests.to_le_bytes()].concat()
    }
}
