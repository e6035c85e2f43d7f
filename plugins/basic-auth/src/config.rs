//! What the plugin is configured with.

use std::time::Duration;

use tidegate_policy::HeaderName;
use tidegate_sdk::config::FilterConfig;

use crate::htpasswd::Users;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// Names and hashes of passwords, as `htpasswd -B` writes them: `name:hash`, one a line. bcrypt (`$2y$`, `$2b$`, `$2a$`, of cost 4 to 14), `$apr1$` and `{SHA}`.
    pub(crate) users: Users,
    /// The header that tells the backend the user's name. What clients send in it is removed.
    #[config(default = "x-user", validate = not_credentials)]
    pub(crate) user_header: HeaderName,
    /// Whether the backend gets `Authorization` too, with the password.
    #[config(default = false)]
    pub(crate) forward: bool,
    /// Whether requests without a name and password go on, without a user. Those with wrong ones do not.
    #[config(default = false)]
    pub(crate) allow_missing: bool,
    /// What browsers tell people that they are asked a password for.
    #[config(default = "restricted", max_len = 100, validate = plain)]
    pub(crate) realm: String,
    /// How long a good password is remembered after it was verified; verifying takes tenths of a second. Any change of the configuration forgets them all.
    #[config(default = "1h", min = "1s", max = "24h")]
    pub(crate) remember: Duration,
    /// Decides, counts and logs, and lets all requests pass.
    #[config(default = false)]
    pub(crate) dry_run: bool,
}

/// What can stand in quotes in a header as it is.
fn plain(text: &str) -> Result<(), String> {
    let allowed = |it: char| !it.is_control() && it != '"' && it != '\\';
    if text.chars().all(allowed) {
        return Ok(());
    }
    Err("expected text without quotes, backslashes and control characters".to_owned())
}

/// Not the header that credentials are in: one of both would be lost.
fn not_credentials(name: &HeaderName) -> Result<(), String> {
    if &**name == "authorization" {
        return Err("this is the header with the password: choose another".to_owned());
    }
    Ok(())
}
