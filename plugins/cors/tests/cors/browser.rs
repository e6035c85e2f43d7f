//! What a browser makes of the answer to a preflight (Fetch standard, "CORS-preflight fetch").

use tidegate_sdk_testing::Answer;

/// A request that a page wants to send.
pub(crate) struct Wanted<'a> {
    pub(crate) origin: &'a str,
    pub(crate) method: &'a str,
    /// The names of headers that need permission.
    pub(crate) headers: Vec<&'a str>,
    pub(crate) credentials: bool,
    /// Its target is in a network that is more private than the page's.
    pub(crate) private: bool,
}

/// Whether a browser sends the request after this answer to its preflight.
pub(crate) fn sends(wanted: &Wanted<'_>, answer: &Answer) -> bool {
    let list = |name: &str| -> Vec<String> {
        let lines = answer.headers().get_all(name).join(",");
        let items = lines.split(',').map(|it| it.trim().to_owned());
        items.filter(|it| !it.is_empty()).collect()
    };
    let (methods, names) = (
        list("access-control-allow-methods"),
        list("access-control-allow-headers"),
    );
    let star = |list: &[String]| !wanted.credentials && list.iter().any(|it| it == "*");
    let named = |name: &str| names.iter().any(|it| it.eq_ignore_ascii_case(name));

    let is_safe = ["GET", "HEAD", "POST"].contains(&wanted.method);
    let method = is_safe || methods.iter().any(|it| it == wanted.method) || star(&methods);
    let headers = wanted.headers.iter().all(|name| {
        let is_special = name.eq_ignore_ascii_case("authorization");
        named(name) || (star(&names) && !is_special)
    });
    let private = answer.header("access-control-allow-private-network");
    (200..300).contains(&answer.status())
        && reads(wanted, answer)
        && method
        && headers
        && (!wanted.private || private.as_deref() == Some("true"))
}

/// Whether a page may read a response (Fetch standard, "CORS check").
pub(crate) fn reads(wanted: &Wanted<'_>, answer: &Answer) -> bool {
    let origins = answer.headers().get_all("access-control-allow-origin");
    let [origin] = origins.as_slice() else {
        return false;
    };
    if !wanted.credentials && origin == "*" {
        return true;
    }
    let credentials = answer.headers().get_all("access-control-allow-credentials");
    origin == wanted.origin && (!wanted.credentials || credentials == ["true"])
}
