//! What the parts of a reference may be made of.

/// Most characters of a tag.
const MAX_TAG: usize = 128;
/// Whether it is a name or an address, in the only form that means the same everywhere.
pub(super) fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']');
        return address.is_some_and(|it| it.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = host.split('.').all(is_label);
    // What ends in a number is an address (WHATWG URL), and other forms of it than the usual one
    // would be another address somewhere else.
    let ends_in_number = host.rsplit('.').next().is_some_and(|last| {
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x")
    });
    is_name && (!ends_in_number || host.parse::<std::net::Ipv4Addr>().is_ok())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
pub(super) fn is_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(|byte| is_word(*byte)) {
        return false;
    }
    if !bytes.last().is_some_and(|byte| is_word(*byte)) {
        return false;
    }
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators
        .into_iter()
        .all(|it| matches!(it, "" | "." | "_" | "__") || it.bytes().all(|byte| byte == b'-'))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(super) fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.as_bytes().first().is_some_and(|byte| is_word(*byte))
        && tag
            .bytes()
            .all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}
