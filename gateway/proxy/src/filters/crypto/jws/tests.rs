//! Against the signatures of the RFCs and of a second implementation, and against changes of them.
//!
//! `vectors.txt` says how it was made. What is wrong with a bad signature is in its last words.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const VECTORS: &str = include_str!("vectors.txt");

/// A key of the file.
#[derive(Debug, Clone)]
struct Key {
    kind: &'static str,
    parts: Vec<Vec<u8>>,
}

impl Key {
    fn borrowed(&self) -> JwsKey<'_> {
        match (self.kind, &self.parts[..]) {
            ("rsa", [modulus, exponent]) => JwsKey::Rsa { modulus, exponent },
            ("point", [point]) => JwsKey::Point(point),
            ("ed25519", [key]) => JwsKey::Ed25519(key),
            ("secret", [secret]) => JwsKey::Secret(secret),
            other => panic!("no key: {other:?}"),
        }
    }
}

/// A signature of the file.
#[derive(Debug, Clone)]
struct Case {
    algorithm: JwsAlgorithm,
    key: Key,
    expected: Result<(), CryptoError>,
    signature: Vec<u8>,
    text: Vec<u8>,
    what: &'static str,
}

impl Case {
    fn outcome(&self) -> Result<(), CryptoError> {
        let key = self.key.borrowed();
        verify(self.algorithm, key, &self.signature, &self.text)
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches('-').as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

const ALGORITHMS: [(&str, JwsAlgorithm); 13] = [
    ("RS256", JwsAlgorithm::Rs256),
    ("RS384", JwsAlgorithm::Rs384),
    ("RS512", JwsAlgorithm::Rs512),
    ("PS256", JwsAlgorithm::Ps256),
    ("PS384", JwsAlgorithm::Ps384),
    ("PS512", JwsAlgorithm::Ps512),
    ("ES256", JwsAlgorithm::Es256),
    ("ES384", JwsAlgorithm::Es384),
    ("ES512", JwsAlgorithm::Es512),
    ("EdDSA", JwsAlgorithm::EdDsa),
    ("HS256", JwsAlgorithm::Hs256),
    ("HS384", JwsAlgorithm::Hs384),
    ("HS512", JwsAlgorithm::Hs512),
];

fn cases() -> Vec<Case> {
    let mut keys: HashMap<&str, Key> = HashMap::new();
    let mut cases = Vec::new();
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(line) = line.strip_prefix("key ") {
            let mut words = line.split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let parts = words.map(unhex).collect();
            keys.insert(name, Key { kind, parts });
            continue;
        }
        let line = line.strip_prefix("case ").unwrap();
        let words: Vec<&'static str> = line.splitn(6, ' ').collect();
        let [algorithm, key, expected, signature, text, what] = words[..] else {
            panic!("{line}");
        };
        cases.push(Case {
            algorithm: ALGORITHMS
                .iter()
                .find(|(name, _)| *name == algorithm)
                .unwrap()
                .1,
            key: keys[key].clone(),
            expected: match expected {
                "good" => Ok(()),
                "bad" => Err(CryptoError::Mismatch),
                _ => Err(CryptoError::Key),
            },
            signature: unhex(signature),
            text: unhex(text),
            what,
        });
    }
    cases
}

#[test]
fn every_signature_is_judged_as_by_the_rfcs_and_by_openssl() {
    let cases = cases();
    for case in &cases {
        let what = (case.algorithm, case.what);
        assert_eq!(case.outcome(), case.expected, "{what:?}");
    }
    for (name, algorithm) in ALGORITHMS {
        let good = |case: &Case| case.algorithm == algorithm && case.expected.is_ok();
        assert!(cases.iter().any(good), "there is a good one of {name}");
    }
}

#[test]
fn no_bit_of_text_signature_or_key_may_be_another() {
    for case in cases() {
        // The long keys take long, and say no more.
        if case.expected.is_err() || !case.what.starts_with("RFC") {
            continue;
        }
        let parts = case.key.parts.len();
        for part in 0..parts + 2 {
            let mut changed = case.clone();
            for at in 0.. {
                let bytes = match part {
                    0 => &mut changed.text,
                    1 => &mut changed.signature,
                    key => &mut changed.key.parts[key - 2],
                };
                let Some(byte) = bytes.get_mut(at) else { break };
                let bit = 1 << (at % 8);
                *byte ^= bit;
                assert!(changed.outcome().is_err(), "{} {part} {at}", case.what);
                let bytes = match part {
                    0 => &mut changed.text,
                    1 => &mut changed.signature,
                    key => &mut changed.key.parts[key - 2],
                };
                bytes[at] ^= bit;
            }
            assert_eq!(changed.outcome(), Ok(()), "it is as it was");
        }
    }
}

#[test]
fn a_key_is_never_used_for_an_algorithm_of_another_kind() {
    let cases = cases();
    for case in cases.iter().filter(|case| case.expected.is_ok()) {
        for (name, algorithm) in ALGORITHMS {
            let key = case.key.borrowed();
            let outcome = verify(algorithm, key, &case.signature, &case.text);
            let same = algorithm == case.algorithm;
            assert_eq!(outcome.is_ok(), same, "{} by {name}", case.what);
        }
    }
}

fn shaped(algorithm: JwsAlgorithm, mut bytes: Vec<u8>) -> Key {
    let sized = |mut bytes: Vec<u8>, len| {
        bytes.resize(len, 0x5a);
        bytes
    };
    let point = |bytes, len| Key {
        kind: "point",
        parts: vec![[vec![4], sized(bytes, len)].concat()],
    };
    match algorithm {
        JwsAlgorithm::Es256 => point(bytes, 64),
        JwsAlgorithm::Es384 => point(bytes, 96),
        JwsAlgorithm::Es512 => point(bytes, 132),
        JwsAlgorithm::EdDsa => Key {
            kind: "ed25519",
            parts: vec![sized(bytes, 32)],
        },
        JwsAlgorithm::Hs256 | JwsAlgorithm::Hs384 | JwsAlgorithm::Hs512 => {
            bytes.push(1);
            Key {
                kind: "secret",
                parts: vec![bytes],
            }
        }
        _ => {
            let mut modulus = [vec![0x80], sized(bytes, 255)].concat();
            modulus[255] |= 1;
            Key {
                kind: "rsa",
                parts: vec![modulus, vec![1, 0, 1]],
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_signature_and_do_no_harm(
        (_, algorithm) in proptest::sample::select(&ALGORITHMS[..]),
        key in proptest::collection::vec(any::<u8>(), 0..300),
        signature in proptest::collection::vec(any::<u8>(), 0..300),
        fits in any::<bool>(),
        text in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let key = shaped(algorithm, key);
        let mut signature = signature;
        if fits {
            let len = match algorithm {
                JwsAlgorithm::Es256 | JwsAlgorithm::EdDsa | JwsAlgorithm::Hs512 => 64,
                JwsAlgorithm::Es384 => 96,
                JwsAlgorithm::Es512 => 132,
                JwsAlgorithm::Hs256 => 32,
                JwsAlgorithm::Hs384 => 48,
                _ => 256,
            };
            signature.resize(len, 0);
        }
        let outcome = verify(algorithm, key.borrowed(), &signature, &text);
        prop_assert!(matches!(outcome, Err(CryptoError::Key | CryptoError::Mismatch)));
    }
}
