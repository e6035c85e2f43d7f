//! Who a workload is: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::text::text_of;

/// What SPIFFE ids begin with.
pub(crate) const SCHEME: &str = "spiffe://";

/// The name of a workload in its certificate, without `spiffe://`.
#[derive(Debug)]
pub(crate) struct Principal(String);

impl Principal {
    /// The principal in a URI, if it is one.
    pub(crate) fn new(mut uri: String) -> Option<Self> {
        let rest = uri.strip_prefix(SCHEME)?;
        if rest.is_empty() {
            return None;
        }
        uri.drain(..SCHEME.len());
        Some(Self(uri))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn trust_domain(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The namespace, if the name has the shape that Istio's have.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.after("ns")
    }

    /// The service account, if the name has the shape that Istio's have.
    pub(crate) fn service_account(&self) -> Option<&str> {
        self.after("sa")
    }

    /// The value of a key in the path, which is made of keys and values.
    fn after(&self, key: &str) -> Option<&str> {
        let mut parts = self.0.split('/').skip(1);
        while let (Some(found), Some(value)) = (parts.next(), parts.next()) {
            if found == key {
                return Some(value).filter(|it| !it.is_empty());
            }
        }
        None
    }
}

/// A service account: `ACCOUNT` in the policy's namespace, or `NAMESPACE/ACCOUNT`.
#[derive(Debug, Clone)]
pub(crate) struct ServiceAccount {
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

impl FilterConfig for ServiceAccount {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = text_of(value)?;
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let is_plain = |it: &str| !it.is_empty() && !it.contains(['/', '*']);
        if !is_plain(name) || !namespace.is_none_or(is_plain) {
            return Err(Problem::new(
                [
                    "expected an account or namespace/account, without stars; found \"",
                    text,
                    "\"",
                ]
                .concat(),
            ));
        }
        Ok(Self {
            namespace: namespace.map(Into::into),
            name: name.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_istio_name_has_a_domain_a_namespace_and_an_account() {
        let it = Principal::new("spiffe://cluster.local/ns/shop/sa/cart".into()).unwrap();
        assert_eq!(it.as_bytes(), b"cluster.local/ns/shop/sa/cart");
        assert_eq!(it.trust_domain(), "cluster.local");
        assert_eq!(it.namespace(), Some("shop"));
        assert_eq!(it.service_account(), Some("cart"));
    }

    #[test]
    fn other_names_have_what_they_say() {
        let it = Principal::new("spiffe://td/x/ns/y/shop".into()).unwrap();
        assert_eq!(it.namespace(), None);
        assert_eq!(it.service_account(), None);
        let it = Principal::new("spiffe://td/ns//sa/".into()).unwrap();
        assert_eq!((it.namespace(), it.service_account()), (None, None));
        assert!(Principal::new("https://td/ns/shop/sa/cart".into()).is_none());
        assert!(Principal::new("spiffe://".into()).is_none());
    }
}
