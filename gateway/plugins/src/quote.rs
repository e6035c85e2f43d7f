//! What others sent, made fit for an error message: short, and without control characters.

/// Most characters of a quotation.
const MOST: usize = 200;

/// The text, cut after 200 characters. It is to be printed with `{:?}`, which escapes it.
pub(crate) fn short(text: &str) -> String {
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The text without control characters, cut after 200 characters: to be printed as it is.
pub(crate) fn plain(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .take(MOST + 1)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    short(&clean)
}

/// An address without its query, in which others put secrets, and without a user.
pub(crate) fn url(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let port = port.unwrap_or_default();
    short(&format!("{}://{host}{port}{}", url.scheme(), url.path()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_quotation_is_short_and_on_one_line() {
        assert_eq!(super::plain(" a\nb\u{1b}[0m "), "a b [0m");
        assert_eq!(super::plain(&"ä".repeat(500)).chars().count(), 201);
    }
}
