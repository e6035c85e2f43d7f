//! What short texts of the configuration must be.

pub(super) fn is_name(name: &Option<String>) -> Result<(), String> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || it == b'-' || it == b'_';
    match name {
        Some(name) if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) => {
            Err("expected up to 64 letters, digits, `-` and `_`".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn is_quotable(realm: &str) -> Result<(), String> {
    let plain = |it: u8| (b' '..=b'~').contains(&it) && it != b'"' && it != b'\\';
    if realm.len() <= 256 && realm.bytes().all(plain) {
        Ok(())
    } else {
        Err("expected up to 256 letters of ASCII without `\"` and `\\`".to_owned())
    }
}

pub(super) fn is_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') && path.bytes().all(|it| it.is_ascii_graphic() && it != b'#') {
        Ok(())
    } else {
        Err("expected a path, such as /.well-known/jwks.json".to_owned())
    }
}

pub(super) fn is_host(host: &Option<String>) -> Result<(), String> {
    let part = |it: u8| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it);
    match host {
        Some(host) if host.is_empty() || host.len() > 255 || !host.bytes().all(part) => {
            Err("expected a host, such as idp.example.com".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn are_not_empty(names: &[String]) -> Result<(), String> {
    match names.iter().any(String::is_empty) {
        true => Err("a parameter without a name".to_owned()),
        false => Ok(()),
    }
}

pub(super) fn are_cookie_names(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| !tidegate_policy::is_token(name)) {
        Some(name) => Err(format!("{name:?} is no name of a cookie")),
        None => Ok(()),
    }
}
