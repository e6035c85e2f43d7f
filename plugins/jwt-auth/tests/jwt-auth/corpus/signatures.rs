//! Signatures that are wrong.

use jwt_auth::flaw::Reason;
use tidegate_sdk_testing::json;

use super::super::issuer::ISSUER;
use super::super::issuer::base64;
use super::super::issuer::claims;
use super::super::issuer::header;
use super::super::issuer::issuer;
use super::Base;
use super::Row;

pub(super) fn rows(base: &Base) -> Vec<Row> {
    let [header_part, payload, signature] = base.parts();
    let es256 = |sign: Vec<u8>| base.forged(&header("ES256"), |_| sign);
    let rs256 = |sign: Vec<u8>| base.forged(&header("RS256"), |_| sign);
    let by_rsa = |change: fn(&mut Vec<u8>)| {
        base.forged(&header("RS256"), |text| {
            let mut signature = issuer().signature("RS256", text);
            change(&mut signature);
            signature
        })
    };
    let mut richer = claims(base.now);
    richer["admin"] = json!(true);
    let richer = base64(richer.to_string());
    let another = issuer().sign("RS256", &json!({"iss": ISSUER}));
    let another = another.rsplit('.').next().unwrap();
    // The group's order, for r and s.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap())
        .collect();
    let rows = vec![
        ("no signature", [header_part, payload, ""].join(".")),
        (
            "a signature of other claims",
            [header_part, payload, another].join("."),
        ),
        ("other claims", [header_part, &richer, signature].join(".")),
        ("a flipped bit", by_rsa(|it| it[100] ^= 1)),
        (
            "a signature that is too short",
            by_rsa(|it| it.truncate(255)),
        ),
        ("a signature that is too long", by_rsa(|it| it.insert(0, 0))),
        ("an RSA signature of zeros", rs256(vec![0; 256])),
        (
            "an RSA signature of one",
            rs256([vec![0; 255], vec![1]].concat()),
        ),
        ("an RSA signature above the modulus", rs256(vec![0xff; 256])),
        (
            "PS256 under the name of RS256",
            base.forged(&header("RS256"), |text| issuer().signature("PS256", text)),
        ),
        (
            "RS256 under the name of PS256",
            base.forged(&header("PS256"), |text| issuer().signature("RS256", text)),
        ),
        (
            "RS384 under the name of RS256",
            base.forged(&header("RS256"), |text| issuer().signature("RS384", text)),
        ),
        (
            "a PSS signature of zeros",
            base.forged(&header("PS256"), |_| vec![0; 256]),
        ),
        ("an ECDSA signature of zeros", es256(vec![0; 64])),
        (
            "an ECDSA signature of the order",
            es256([order.clone(), order].concat()),
        ),
        ("an ECDSA signature that is cut", es256(vec![1; 63])),
        (
            "an ECDSA signature in DER",
            es256([&[0x30, 0x44, 2, 32], &[1; 32][..], &[2, 32], &[1; 32]].concat()),
        ),
        (
            "an ECDSA signature for P-384",
            base.forged(&header("ES256"), |text| issuer().signature("ES384", text)),
        ),
        (
            "an Ed25519 signature of zeros",
            base.forged(&header("EdDSA"), |_| vec![0; 64]),
        ),
        (
            "an Ed25519 signature that is cut",
            base.forged(&header("EdDSA"), |text| {
                issuer().signature("EdDSA", text)[..63].to_vec()
            }),
        ),
        (
            "half a MAC",
            base.forged(&header("HS256"), |text| {
                issuer().signature("HS256", text)[..16].to_vec()
            }),
        ),
        (
            "a MAC with more after it",
            base.forged(&header("HS256"), |text| {
                [issuer().signature("HS256", text), vec![0]].concat()
            }),
        ),
    ];
    let bad = |(what, token)| (what, token, Reason::BadSignature);
    rows.into_iter().map(bad).collect()
}
