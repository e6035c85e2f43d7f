//! A key that signs images, as `cosign sign --key` does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rcgen::SigningKey as _;

use crate::registry::Registry;

/// See the module.
#[derive(Debug)]
pub struct Signer(KeyPair);

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

impl Signer {
    /// A new key (ECDSA P-256).
    pub fn new() -> Self {
        Self(KeyPair::generate().expect("there is entropy"))
    }

    /// The public key, PEM.
    pub fn public_key(&self) -> String {
        self.0.public_key_pem()
    }

    /// Signs an image of a registry by its digest, as cosign 2 does.
    pub fn sign(&self, registry: &Registry, name: &str, image: &str) {
        let document = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{}"}},"image":{{"docker-manifest-digest":"{image}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            registry.reference(name)
        );
        let signature = self.0.sign(document.as_bytes()).expect("it signs");
        let annotation = format!(
            r#"{{"dev.cosignproject.cosign/signature":"{}"}}"#,
            STANDARD.encode(signature)
        );
        let tag = format!("{}.sig", image.replace(':', "-"));
        let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
        registry.put_layer(name, &tag, kind, document.as_bytes(), &annotation);
    }
}
