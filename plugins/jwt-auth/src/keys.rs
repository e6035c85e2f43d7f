//! Keys of an issuer: JWK and JWK Set (RFC 7517, RFC 7518 6, RFC 8037 2).
//!
//! Owns which keys are taken, and which of them may have signed a token: those whose type is the one of
//! the algorithm, and whose own words (`alg`, `use`, `key_ops`) do not speak against it. Keys of types that
//! are not known here are left out (RFC 7517, 5). No host is called.

use serde_json::Map;
use serde_json::Value;
use tidegate_sdk::verify;

use crate::algorithm::Algorithm;
use crate::algorithm::Family;
use crate::base64url;
use crate::flaw::Reason;
use crate::json;
use crate::rsa;

/// The most keys of a set.
const MOST_KEYS: usize = 100;
/// The most keys that are tried for one token.
const MOST_TRIES: usize = 8;

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    /// What it is made of.
    pub material: Material,
    /// The same, for hosts that check signatures.
    pub(crate) for_host: verify::Key,
}

/// What a key is made of.
pub enum Material {
    /// A modulus and an exponent.
    Rsa(rsa::PublicKey),
    /// A point on P-256, uncompressed (SEC 1, 2.3.3).
    P256(Vec<u8>),
    /// A point on P-384, uncompressed.
    P384(Vec<u8>),
    /// A point on Edwards 25519 (RFC 8032, 5.1.2).
    Ed25519([u8; 32]),
    /// A secret.
    Secret(Vec<u8>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // No key is printed.
        std::fmt::Debug::fmt(&self.family(), f)
    }
}

impl Material {
    const fn family(&self) -> Family {
        match self {
            Self::Rsa(_) => Family::Rsa,
            Self::P256(_) => Family::P256,
            Self::P384(_) => Family::P384,
            Self::Ed25519(_) => Family::Ed25519,
            Self::Secret(_) => Family::Secret,
        }
    }

    fn for_host(&self) -> verify::Key {
        match self {
            Self::Rsa(key) => verify::Key::rsa(key.modulus(), &key.exponent()),
            Self::P256(point) | Self::P384(point) => {
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                verify::Key::ec(x, y)
            }
            Self::Ed25519(point) => verify::Key::ed25519(point),
            Self::Secret(secret) => verify::Key::secret(secret),
        }
    }
}

/// What comes of reading keys.
#[derive(Debug)]
pub struct Read {
    /// Those that can be used: at least one.
    pub keys: KeySet,
    /// Why others cannot.
    pub left_out: Vec<String>,
}

impl KeySet {
    /// Reads a set, or one key.
    ///
    /// # Errors
    /// Why there is no key that can be used.
    pub fn parse(text: &[u8]) -> Result<Read, String> {
        let members = json::mapping(text).map_err(|why| format!("expected a JWK Set: {why}"))?;
        let one;
        let list = match members.get("keys") {
            Some(Value::Array(list)) => list,
            Some(_) => return Err("expected a JWK Set: its `keys` are no list".to_owned()),
            None if members.contains_key("kty") => {
                one = vec![Value::Object(members)];
                &one
            }
            None => return Err("expected a JWK Set: it has no `keys`".to_owned()),
        };
        if list.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let mut keys = Vec::new();
        let mut left_out = Vec::new();
        for (index, item) in list.iter().enumerate() {
            match Key::read(item) {
                Ok(key) => keys.push(key),
                Err(why) => left_out.push(format!("key {index}: {why}")),
            }
        }
        if keys.is_empty() {
            let mut why = "it has no key that can be used".to_owned();
            if let Some(first) = left_out.first() {
                why = [&why, ": ", first].concat();
            }
            return Err(why);
        }
        Ok(Read {
            keys: Self { keys },
            left_out,
        })
    }

    /// The keys that may have signed a token: those with its key id, and those without any.
    ///
    /// # Errors
    /// [`Reason::UnknownKey`] if there is none, [`Reason::WrongKey`] if there are some that are not for
    /// this algorithm.
    pub fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Vec<&Key>, Reason> {
        let named = |key: &&Key| match (&key.id, id) {
            (Some(has), Some(wanted)) => has == wanted,
            (None, _) | (_, None) => true,
        };
        let named: Vec<&Key> = self.keys.iter().filter(named).collect();
        let is_exact = |key: &&&Key| id.is_some() && key.id.as_deref() == id;
        let exact = named.iter().filter(is_exact).count();
        let fitting: Vec<&Key> = named
            .into_iter()
            .filter(|key| key.is_for(algorithm))
            .collect();
        match fitting.len() {
            0 if exact > 0 => Err(Reason::WrongKey),
            0 => Err(Reason::UnknownKey),
            _ => Ok(fitting.into_iter().take(MOST_TRIES).collect()),
        }
    }
}

impl Key {
    /// Whether it may be used for an algorithm.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        let long_enough = match &self.material {
            Material::Secret(secret) => secret.len() >= algorithm.shortest_secret(),
            Material::Rsa(_) | Material::P256(_) | Material::P384(_) | Material::Ed25519(_) => true,
        };
        algorithm.family() == self.material.family()
            && self.algorithm.is_none_or(|it| it == algorithm)
            && long_enough
    }

    fn read(item: &Value) -> Result<Self, String> {
        let Value::Object(members) = item else {
            return Err("it is no mapping".to_owned());
        };
        match text(members, "use")? {
            None | Some("sig") => {}
            Some(other) => return Err(format!("it is for {other:?} and not for signatures")),
        }
        match members.get("key_ops") {
            None => {}
            Some(Value::Array(list)) if list.iter().any(|it| it == "verify") => {}
            Some(_) => return Err("its `key_ops` are without \"verify\"".to_owned()),
        }
        let algorithm = match text(members, "alg")? {
            None => None,
            Some(name) => match Algorithm::of(name) {
                Some(algorithm) => Some(algorithm),
                None => return Err(format!("algorithm {name:?} is not supported")),
            },
        };
        let material = material(members)?;
        if let Some(algorithm) = algorithm
            && algorithm.family() != material.family()
        {
            return Err(format!("it is no key for {}", algorithm.name()));
        }
        Ok(Self {
            id: text(members, "kid")?.map(ToOwned::to_owned),
            algorithm,
            for_host: material.for_host(),
            material,
        })
    }
}

fn material(members: &Map<String, Value>) -> Result<Material, String> {
    let kind = text(members, "kty")?.ok_or("it has no `kty`")?;
    let curve = text(members, "crv")?;
    match (kind, curve) {
        ("RSA", _) => {
            rsa::PublicKey::new(&bytes(members, "n")?, &bytes(members, "e")?).map(Material::Rsa)
        }
        ("EC", Some("P-256")) => point(members, 32).map(Material::P256),
        ("EC", Some("P-384")) => point(members, 48).map(Material::P384),
        ("OKP", Some("Ed25519")) => match bytes(members, "x")?.try_into() {
            Ok(point) => Ok(Material::Ed25519(point)),
            Err(_) => Err("its `x` is not of 32 bytes".to_owned()),
        },
        ("oct", _) => {
            let secret = bytes(members, "k")?;
            let shortest = Algorithm::Hs256.shortest_secret();
            if secret.len() < shortest {
                return Err(format!("its secret is shorter than {shortest} bytes"));
            }
            Ok(Material::Secret(secret))
        }
        ("EC" | "OKP", curve) => Err(format!(
            "curve {:?} is not supported",
            curve.unwrap_or_default()
        )),
        (other, _) => Err(format!("keys of type {other:?} are not supported")),
    }
}

/// A point in uncompressed form, of coordinates with so many bytes each (RFC 7518, 6.2.1.2).
fn point(members: &Map<String, Value>, len: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
    if x.len() != len || y.len() != len {
        return Err(format!("its `x` and `y` are not of {len} bytes"));
    }
    Ok([&[4], &x[..], &y[..]].concat())
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, String> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its `{name}` is no text")),
    }
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(members, name)?.ok_or_else(|| format!("it has no `{name}`"))?;
    base64url::decode(text).ok_or_else(|| format!("its `{name}` is not base64url"))
}
