//! What a request asks of this filter, read from its path and content type.
//!
//! Owns the comparison of paths and media types, nothing else. A path counts up to its `?`, so
//! no query can walk past a rule.

/// What the filter does with a request besides adding its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/forbidden`: answered with 403, whatever the query.
    Forbidden,
    /// `/hello`: answered with a greeting and a number.
    Hello,
    /// `/authorized`: waits for the authorization server.
    Authorized,
    /// `/echo`: a JSON body gets one more member on its way to the origin.
    Echo,
    /// Every other path goes on as it is.
    Other,
}

impl Route {
    /// The route of a `:path`, which may carry a query.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        let end = path.iter().position(|byte| *byte == b'?');
        let path = end.and_then(|end| path.get(..end)).unwrap_or(path);
        match path {
            b"/forbidden" => Self::Forbidden,
            b"/hello" => Self::Hello,
            b"/authorized" => Self::Authorized,
            b"/echo" => Self::Echo,
            _ => Self::Other,
        }
    }
}

/// Whether a `content-type` names JSON; parameters such as `charset` do not matter.
#[must_use]
pub fn is_json(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next();
    media_type.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_does_not_hide_a_path() {
        assert_eq!(Route::of(b"/forbidden?x=/hello"), Route::Forbidden);
        assert_eq!(Route::of(b"/forbidden?"), Route::Forbidden);
    }

    #[test]
    fn a_path_counts_only_as_a_whole() {
        for path in [
            "/forbidden/",
            "/forbidden2",
            "/a/forbidden",
            "",
            "/",
            "?/hello",
        ] {
            assert_eq!(Route::of(path.as_bytes()), Route::Other, "{path}");
        }
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        for json in [
            "application/json",
            "Application/JSON",
            " application/json ; charset=utf-8",
        ] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "application/json5",
            "text/plain; application/json",
        ] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }
}
