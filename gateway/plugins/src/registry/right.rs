//! The right to ask a registry: how a challenge is met.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderValue;

use crate::credentials::Credential;
use crate::registry::RegistryError;
use crate::registry::challenge;
use crate::registry::challenge::Challenge;
use crate::registry::session::Purpose;
use crate::registry::session::Registry;
use crate::registry::token::Ask;

impl Registry {
    /// What met the challenge before.
    pub(super) async fn known_right(&self) -> Result<Option<HeaderValue>, RegistryError> {
        let known = || {
            let challenge = self.challenge.lock();
            challenge.unwrap_or_else(PoisonError::into_inner).clone()
        };
        match known() {
            None => Ok(None),
            Some(challenge) => self.right(&challenge).await,
        }
    }

    /// Meets a challenge; `None` if nothing can be said to it.
    pub(super) async fn meet(
        &self,
        headers: &HeaderMap,
        was_refused: bool,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = challenge::choose(headers).map_err(|reason| RegistryError::Challenge {
            registry: self.host.clone(),
            reason,
        })?;
        if was_refused && let Challenge::Bearer { .. } = &challenge {
            self.with_ask(&challenge, |ask| self.tokens.forget(ask));
        }
        let right = self.right(&challenge).await?;
        let mut known = self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(challenge);
        Ok(right)
    }

    async fn right(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, RegistryError> {
        if let Credential::Token(token) = &self.credential.credential {
            return Ok(bearer(token.expose()));
        }
        match challenge {
            Challenge::Basic => Ok(basic(&self.credential.credential)),
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let own = self.scope();
                let ask = self.ask_for(realm, service.as_deref(), scope.as_deref().unwrap_or(&own));
                self.tokens.find(&self.client, &ask).await.map(Some)
            }
        }
    }

    fn with_ask(&self, challenge: &Challenge, then: impl FnOnce(&Ask<'_>)) {
        if let Challenge::Bearer {
            realm,
            service,
            scope,
        } = challenge
        {
            let own = self.scope();
            then(&self.ask_for(realm, service.as_deref(), scope.as_deref().unwrap_or(&own)));
        }
    }

    fn ask_for<'a>(&'a self, realm: &'a str, service: Option<&'a str>, scope: &'a str) -> Ask<'a> {
        Ask {
            registry: &self.host,
            is_secure: self.origin.is_secure,
            realm,
            service,
            scope,
            credential: &self.credential.credential,
            access: &self.access,
        }
    }

    /// What we want, for registries that do not say what they want us to ask for.
    fn scope(&self) -> String {
        let actions = match self.purpose {
            Purpose::Pull => "pull",
            Purpose::Push => "pull,push",
        };
        format!("repository:{}:{actions}", self.repository)
    }
}

/// `Authorization` for a user and a password.
pub(super) fn basic(credential: &Credential) -> Option<HeaderValue> {
    let Credential::Basic { user, password } = credential else {
        return None;
    };
    let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
    sensitive(&format!("Basic {pair}"))
}

/// `Authorization` for a token.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
