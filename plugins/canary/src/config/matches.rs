//! Requests that have their version whatever the shares are.

use tidegate_policy::Cidr;
use tidegate_policy::Conditions;
use tidegate_policy::Patterns;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;

use super::versions::Version;

/// What requests must have, all of it, for a version. Values are whole and with case; with a star at the
/// beginning, the end or both, they may go on there, and `*` is any value.
#[derive(FilterConfig, Debug)]
pub(super) struct MatchFields {
    /// Values of headers, by name.
    #[config(default = Patterns::new(), max_len = 16)]
    headers: Patterns,
    /// Values of cookies, by name.
    #[config(default = Patterns::new(), max_len = 16)]
    cookies: Patterns,
    /// Values of parameters of the query, by name.
    #[config(default = Patterns::new(), max_len = 16)]
    query: Patterns,
    /// Claims of the token that jwt-auth has verified, by name: text, numbers, and lists that have the
    /// value.
    #[config(default = Patterns::new(), max_len = 16)]
    claims: Patterns,
    /// Blocks of addresses, of which one has the client: `10.0.0.0/8`, `192.0.2.7`.
    #[config(default = [], max_len = 256)]
    client_ips: Vec<Cidr>,
    /// The version that they get. Without it, the last.
    version: Option<String>,
}

/// The conditions of an entry, and the place of its version.
pub(super) fn matched(
    fields: MatchFields,
    versions: &[Version],
) -> Result<(Conditions, usize), Problem> {
    let version = match &fields.version {
        None => versions.len().saturating_sub(1),
        Some(name) => versions
            .iter()
            .position(|it| it.name == *name)
            .ok_or_else(|| {
                let known: Vec<&str> = versions.iter().map(|it| it.name.as_str()).collect();
                let message = format!(
                    "no version is called {name:?}; there are {}",
                    known.join(", ")
                );
                Problem::new(message).under("version")
            })?,
    };
    let MatchFields {
        headers,
        cookies,
        query,
        claims,
        client_ips,
        version: _,
    } = fields;
    let conditions = Conditions::new(headers, cookies, query, claims, client_ips)?;
    if conditions.is_empty() {
        return Err(Problem::new(
            "expected headers, cookies, query, claims or clientIps: without any, every request matches",
        ));
    }
    Ok((conditions, version))
}
