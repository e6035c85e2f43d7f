//! What a service says beside its verdicts: headers for the backend and for the client, and a body.

use tidegate_policy::HeaderName;
use tidegate_policy::Spellings;
use tidegate_sdk::prelude::*;

/// What a service says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Somebody else's service has decided: clients are told as Envoy tells them.
    pub(crate) is_service: bool,
    pub(crate) to_request: Vec<(HeaderName, String)>,
    pub(crate) to_response: Vec<(HeaderName, String)>,
    /// The body of a refusal.
    pub(crate) body: Vec<u8>,
}

impl Said {
    /// Puts its headers into a request, in the place of what the client says in them.
    fn tell_backend(&self, req: &mut Request) {
        let mut headers = req.headers_mut();
        for (index, (name, value)) in self.to_request.iter().enumerate() {
            let before = self.to_request.iter().take(index);
            let set = match before.into_iter().any(|(known, _)| known == name) {
                true => headers.append(name, value),
                false => headers.set(name, value),
            };
            left_out(set);
        }
    }

    /// Whether it tells clients something in this header.
    pub(crate) fn tells_client(&self, name: &str) -> bool {
        self.to_response.iter().any(|(known, _)| **known == *name)
    }

    /// Adds its headers to a response.
    pub(crate) fn tell_client(&self, res: &mut Response) {
        for (name, value) in &self.to_response {
            left_out(res.headers_mut().append(name, value));
        }
    }

    /// Makes a refusal its own.
    pub(crate) fn refuse(&self, mut deny: Deny) -> Deny {
        if !self.is_service {
            return deny;
        }
        if !self.body.is_empty() {
            deny = deny.body(self.body.clone());
            if !self.tells_client("content-type") {
                deny = deny.header("content-type", "text/plain");
            }
        }
        deny = deny.header("x-envoy-ratelimited", "true");
        for (name, value) in &self.to_response {
            deny = deny.header(name, value);
        }
        deny
    }
}

/// Puts the headers of all services into a request, in the place of what the client says in them, or in
/// what backends take for them.
pub(crate) fn tell_backend<'s>(all: impl Iterator<Item = &'s Said> + Clone, req: &mut Request) {
    let names = all.clone().flat_map(|it| &it.to_request);
    let names: Vec<&str> = names.map(|(name, _)| &**name).collect();
    if names.is_empty() {
        return;
    }
    Spellings::of(names).remove(req);
    for said in all {
        said.tell_backend(req);
    }
}

fn left_out(set: Result<()>) {
    if let Err(why) = set {
        tidegate_sdk::debug!("a header of a rate limit service is left out", why = why);
    }
}
