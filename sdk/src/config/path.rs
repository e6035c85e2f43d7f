//! Where a value is: `limits[2].window`.

/// Most characters of a key that are shown.
const SHOWN: usize = 40;

/// Whether a key needs no quotes in a path.
pub(super) fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(super) fn push_key(path: &mut String, key: &str) {
    if is_plain(key) {
        path.push_str(key);
        return;
    }
    path.push_str("[\"");
    for character in key.chars().take(SHOWN) {
        path.extend(character.escape_debug());
    }
    path.push_str("\"]");
}

pub(super) fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}
