//! Credentials that requests carry in their query or in cookies: read, and taken out before they go on.
//!
//! Owns where a value begins and ends, so that what one policy reads is what every policy takes out.

use tidegate_sdk::prelude::*;

/// All values of a parameter of the query, decoded (WHATWG URL, application/x-www-form-urlencoded).
pub fn query_values<T: FromIterator<Vec<u8>>>(req: &Request, name: &str) -> T {
    let target = req.target();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    named
        .map(|(_, value)| value.into_owned().into_bytes())
        .collect()
}

/// All values of a cookie, as they came (RFC 6265, 5.4).
pub fn cookie_values<T: FromIterator<Vec<u8>>>(req: &Request, name: &str) -> T {
    // Most requests have none, and asking for one costs less than for all.
    let lines = match req.headers().get_bytes("cookie") {
        Some(_) => req.headers().get_all("cookie"),
        None => Vec::new(),
    };
    let cookies = lines.iter().flat_map(|line| line.split(';'));
    let named = cookies.filter_map(|it| cookie_value(it, name));
    named.map(|value| value.as_bytes().to_vec()).collect()
}

/// Takes a parameter out of the query, however often it is there; the rest stays as it is written.
///
/// # Errors
/// If the host refuses the new path.
pub fn remove_parameter(req: &mut Request, name: &str) -> Result<()> {
    let target = req.target();
    req.set_target(&without_parameter(&target, name))
}

/// Takes a cookie out, however often it is there; the others are in one line then (RFC 6265, 5.4).
///
/// # Errors
/// If the host refuses the new header.
pub fn remove_cookie(req: &mut Request, name: &str) -> Result<()> {
    let rest = without_cookie(&req.headers().get_all("cookie"), name);
    if rest.is_empty() {
        req.headers_mut().remove("cookie");
        return Ok(());
    }
    req.headers_mut().set("cookie", rest)
}

/// The value of a cookie if it has this name.
fn cookie_value<'c>(cookie: &'c str, name: &str) -> Option<&'c str> {
    let (key, value) = cookie.split_once('=')?;
    (key.trim() == name).then(|| value.trim())
}

fn without_parameter(target: &str, name: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let is_other = |part: &&str| {
        let parameter = form_urlencoded::parse(part.as_bytes()).next();
        parameter.is_none_or(|(key, _)| key != name)
    };
    let kept: Vec<&str> = query.split('&').filter(is_other).collect();
    if kept.is_empty() {
        path.to_owned()
    } else {
        [path, "?", &kept.join("&")].concat()
    }
}

fn without_cookie(lines: &[String], name: &str) -> String {
    let cookies = lines.iter().flat_map(|line| line.split(';'));
    let others = cookies.filter(|it| cookie_value(it, name).is_none());
    let kept: Vec<&str> = others.map(str::trim).filter(|it| !it.is_empty()).collect();
    kept.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_leaves_a_query_and_nothing_else_changes() {
        for (target, rest) in [
            ("/a?key=1", "/a"),
            ("/a?key=1&b=%41+c&&d", "/a?b=%41+c&&d"),
            ("/a?b&key", "/a?b"),
            ("/a?%6Bey=1&b=key", "/a?b=key"),
            ("/a?b=1?key=2", "/a?b=1?key=2"),
            ("/a?", "/a?"),
            ("/a", "/a"),
        ] {
            assert_eq!(without_parameter(target, "key"), rest, "{target}");
        }
    }

    #[test]
    fn a_cookie_leaves_the_others_in_one_line() {
        let lines = ["a=1; key=2;b".to_owned(), "c=\"x; y\"; key = 3".to_owned()];
        assert_eq!(without_cookie(&lines, "key"), "a=1; b; c=\"x; y\"");
        assert_eq!(without_cookie(&["key=2".to_owned()], "key"), "");
    }

    #[test]
    fn what_is_read_of_a_cookie_is_what_leaves() {
        for cookie in [
            "key=2",
            " key = 2 ",
            "key=2=3",
            "key=",
            "keys=2",
            "KEY=2",
            "key",
            "=key",
        ] {
            let leaves = without_cookie(&[cookie.to_owned()], "key").is_empty();
            assert_eq!(cookie_value(cookie, "key").is_some(), leaves, "{cookie:?}");
        }
    }
}
