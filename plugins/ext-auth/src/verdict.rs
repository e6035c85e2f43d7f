//! What an answer of the service means.

use std::rc::Rc;

use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::names::has;
use crate::names::is_portable;

/// Where the service names headers of the request that the backend is not to get.
const TO_REMOVE: &str = "x-envoy-auth-headers-to-remove";

/// What clients get of a no in any case.
const OF_EVERY_NO: [&str; 2] = ["www-authenticate", "location"];

/// The most bytes of headers that are remembered with a yes.
const LARGEST_KEPT: usize = 4096;

/// What the service says.
#[derive(Debug)]
pub(crate) enum Verdict {
    Yes(Rc<Grant>),
    No(Deny, u16),
    /// It has failed, so.
    Failed(String),
}

/// What a yes comes with.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    set: Vec<(String, Vec<u8>)>,
    append: Vec<(String, Vec<u8>)>,
    remove: Vec<String>,
    to_client: Vec<(String, Vec<u8>)>,
    /// The service forbids to remember it.
    once: bool,
}

impl Verdict {
    /// What an answer means.
    pub(crate) fn of(reply: &Reply, config: &Config) -> Self {
        let status = reply.status();
        let is_yes = match &config.forward_auth {
            Some(_) => (200..300).contains(&status),
            None => status == 200,
        };
        if is_yes {
            return Self::Yes(Rc::new(Grant::of(reply, config)));
        }
        if !(200..500).contains(&status) {
            return Self::Failed(format!("it answered with status {status}"));
        }
        Self::No(denial(reply, status, config), status)
    }
}

/// The service's no, for the client.
fn denial(reply: &Reply, status: u16, config: &Config) -> Deny {
    let body = reply.body();
    let deny = Deny::status(status).body(body);
    // As Envoy does: what has no body has no type of it, and what says nothing of its type is text.
    let deny = match body.is_empty() {
        true => deny,
        false => deny.header("content-type", "text/plain"),
    };
    headers(reply)
        .filter(|(name, _)| name != "content-type" || !body.is_empty())
        .filter(|(name, _)| match &config.headers_to_downstream_on_deny {
            Some(list) => has(list, name) || OF_EVERY_NO.contains(&name.as_str()),
            None => true,
        })
        .fold(deny, |deny, (name, value)| {
            deny.header(&name, &String::from_utf8_lossy(&value))
        })
}

/// The headers of an answer that are not about the answer itself.
fn headers(reply: &Reply) -> impl Iterator<Item = (String, Vec<u8>)> {
    let all = reply.headers().all_bytes().into_iter();
    all.map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| is_portable(name) && name != TO_REMOVE && !of_the_call(name))
}

/// Whether Envoy adds a header to the answer of a call.
fn of_the_call(name: &str) -> bool {
    name == "x-envoy-upstream-service-time"
}

impl Grant {
    fn of(reply: &Reply, config: &Config) -> Self {
        let lists = reply.headers().get_all(TO_REMOVE);
        let names = lists.iter().flat_map(|list| list.split(','));
        let names = names.map(|name| name.trim().to_ascii_lowercase());
        let mut grant = Self {
            remove: names.filter(|name| is_portable(name)).collect(),
            once: forbids_keeping(reply),
            ..Self::default()
        };
        for (name, value) in headers(reply) {
            if has(&config.headers_to_downstream_on_allow, &name) {
                // A cookie is for one client, and one time.
                grant.once |= name == "set-cookie";
                grant.to_client.push((name.clone(), value.clone()));
            }
            if has(&config.headers_to_append_upstream_on_allow, &name) {
                grant.append.push((name.clone(), value.clone()));
            }
            if has(&config.headers_to_upstream_on_allow, &name) {
                grant.set.push((name, value));
            }
        }
        grant
    }

    /// Whether it may be remembered.
    pub(crate) fn may_be_kept(&self) -> bool {
        let pairs = [&self.set, &self.append, &self.to_client]
            .into_iter()
            .flatten();
        let size: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        let removed: usize = self.remove.iter().map(String::len).sum();
        !self.once && size + removed <= LARGEST_KEPT
    }

    /// Edits a request as the service says.
    pub(crate) fn apply(&self, req: &mut Request) -> Result<()> {
        let mut headers = req.headers_mut();
        for (index, (name, value)) in self.set.iter().enumerate() {
            let before = self.set.get(..index).unwrap_or_default();
            // Several lines of the answer are several lines of the request.
            if before.iter().any(|(it, _)| it == name) {
                headers.append(name, value)?;
            } else {
                headers.set(name, value)?;
            }
        }
        for (name, value) in &self.append {
            headers.append(name, value)?;
        }
        for name in &self.remove {
            headers.remove(name);
        }
        Ok(())
    }

    /// Adds to the response what the service has for the client.
    pub(crate) fn tell_client(&self, res: &mut Response) -> Result<()> {
        let mut headers = res.headers_mut();
        for (name, value) in &self.to_client {
            headers.append(name, value)?;
        }
        Ok(())
    }
}

fn forbids_keeping(reply: &Reply) -> bool {
    let lines = reply.headers().get_all("cache-control");
    let mut directives = lines.iter().flat_map(|line| line.split(','));
    directives.any(|it| {
        let name = it.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache")
    })
}
