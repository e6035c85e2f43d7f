//! Figures of the policy filters: the CPU time that each adds to a request, over an empty chain.
//!
//! Owns the request that all of them see, with 12 headers and a path of three segments, and each
//! one's configuration. A filter is measured only after it let that request pass and refused another.

#[path = "policies/limits.rs"]
mod limits;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tidegate_benches::fake_host::{FakeStream, SilentServices};
use tidegate_benches::tokens::{AUDIENCE, ISSUER, Issuer, SUBJECT, Signed};
use tidegate_proxy::AwsLc;

use crate::guests::{Guest, built, configured};
use crate::report::{Figure, Report};

/// Short enough to fit between two other programs' turns.
const PASSES: u32 = 100;
const ROUNDS: usize = 1_000;
/// Tokens that were never seen before.
const TOKENS: u32 = 300;

/// What every request has besides what a filter looks for.
const REQUEST: [(&str, &str); 15] = [
    (":authority", "shop.test"),
    (":path", "/api/orders/42"),
    (":method", "GET"),
    (":scheme", "https"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.7"),
    ("cache-control", "no-cache"),
    ("cookie", "theme=dark; session=2f8a1c0b9d7e4f63"),
    ("referer", "https://shop.test/orders"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
];

/// A filter with what it is configured with, and requests.
struct Case<'a> {
    name: &'a str,
    filter: &'a str,
    config: String,
    /// What the request has for this filter.
    field: (&'a str, &'a str),
    /// What a filter before has said of it.
    property: Option<(&'a str, &'a str)>,
    /// Another value of a field, for which the request is refused.
    refused_by: Option<(&'a str, &'a str)>,
    /// Whether the host verifies signatures.
    crypto: bool,
}

impl Case<'_> {
    /// Starts the filter, if it is there, and looks whether it does what it is for.
    fn start(&self) -> Option<Guest> {
        let bytes = built(self.filter)?;
        let plugin = configured(self.filter, &bytes, self.config.clone());
        let mut fields = REQUEST.to_vec();
        fields.push(self.field);
        let mut stream = FakeStream::with_request(&fields);
        if let Some((path, value)) = self.property {
            stream = stream.with_property(path, value);
        }
        let services = SilentServices::default();
        let services = if self.crypto {
            services.with_crypto(&AwsLc)
        } else {
            services
        };
        let mut guest = Guest::serving(&plugin, services, stream);
        if let Some((name, value)) = self.refused_by {
            let (_, good) = fields.iter().find(|(it, _)| *it == name).expect("a field");
            guest.stream.replace(name, value);
            guest.stream.restore();
            guest.patient_exchange();
            assert!(
                guest.stream.refusal().is_some(),
                "{} refuses nothing",
                self.name
            );
            guest.stream.replace(name, good);
            guest.stream.restore();
        }
        guest.patient_exchange();
        assert_eq!(guest.stream.refusal(), None, "{}", self.name);
        Some(guest)
    }
}

/// All of them.
pub(crate) fn passes(report: &mut Report) {
    let issuer = Issuer::new().expect("keys");
    let token = bearer(&issuer, Signed::Es256, 0);
    let (jwks, key) = (jwt(&issuer), format!("key-number-{}", KEYS / 2));
    let claims = verified();
    let cases = [
        (case("ip-filter", "ip-filter", ip()), Some(1.5)),
        (
            Case {
                field: ("x-api-key", &key),
                refused_by: Some(("x-api-key", "key-of-nobody")),
                ..case("key-auth, one of 100 keys", "key-auth", keys())
            },
            Some(1.5),
        ),
        (
            Case {
                field: ("authorization", &token),
                refused_by: Some(("authorization", "Bearer a.b.c")),
                crypto: true,
                ..case("jwt-auth, a token seen before", "jwt-auth", jwks)
            },
            Some(2.5),
        ),
        (
            Case {
                field: ("authorization", "Basic YW5uOlUqVQ=="),
                refused_by: Some(("authorization", "Basic YW5uOm5v")),
                ..case("basic-auth, a password seen before", "basic-auth", users())
            },
            None,
        ),
        (
            Case {
                refused_by: Some((":path", "/api/invoices/42")),
                ..case(
                    "authz, the last of 100 rules, by path",
                    "authz",
                    rules(false),
                )
            },
            Some(3.0),
        ),
        (
            Case {
                property: Some(("tidegate.auth.jwt", &claims)),
                refused_by: Some((":path", "/api/invoices/42")),
                ..case("the same, by path and token", "authz", rules(true))
            },
            Some(3.0),
        ),
        (
            Case {
                field: ("origin", "https://www.shop.test"),
                ..case("cors, a request of another origin", "cors", cors())
            },
            None,
        ),
        (
            Case {
                field: ("x-user", "3f1c9a52-6b1e-4b8e-9a53-0c2f0c7c3d11"),
                ..case("canary, by a header", "canary", rollout())
            },
            Some(1.5),
        ),
        (case("fault, inactive", "fault", faults()), Some(1.5)),
    ];
    for (case, at_most) in &cases {
        let pass = case.start().map(|guest| warm(report, guest));
        note(report, case.name, pass, *at_most);
    }
    limits::passes(report);
    chain(report, &cases.map(|(case, _)| case));
    cold(report, &issuer);
}

/// What a chain of five adds: the filters one after the other, in each other's way in the caches.
fn chain(report: &mut Report, cases: &[Case<'_>]) {
    let limits = case("rate-limit", "rate-limit", wide());
    let of = |name: &str| cases.iter().find(|it| it.name.starts_with(name));
    let names = ["ip-filter", "jwt-auth", "authz"];
    let chosen = names
        .into_iter()
        .map(of)
        .chain([Some(&limits), of("canary")]);
    let guests: Option<Vec<Guest>> = chosen.map(|it| it?.start()).collect();
    let pass = guests.map(|mut guests| {
        let restored = report.least(ROUNDS, PASSES, || {
            guests.iter_mut().for_each(|it| it.stream.restore());
        });
        let passed = report.least(ROUNDS, PASSES, || {
            for guest in &mut guests {
                guest.stream.restore();
                guest.exchange();
            }
        });
        micros(passed) - micros(restored)
    });
    let name = "ip-filter, jwt-auth, authz, rate-limit and canary";
    note(report, name, pass, Some(10.0));
}

/// What tokens cost that were never seen before.
fn cold(report: &mut Report, issuer: &Issuer) {
    for (signed, crypto, name, at_most) in [
        (
            Signed::Es256,
            true,
            "jwt-auth, a new ES256 token, by the host",
            Some(150.0),
        ),
        (Signed::Es256, false, "the same, in the module", None),
        (
            Signed::Rs256,
            true,
            "jwt-auth, a new RS256 token, by the host",
            None,
        ),
        (Signed::Rs256, false, "the same, in the module", None),
    ] {
        let first = bearer(issuer, signed, 0);
        let case = Case {
            field: ("authorization", &first),
            refused_by: Some(("authorization", "Bearer a.b.c")),
            crypto,
            ..case(name, "jwt-auth", jwt(issuer))
        };
        let pass = case.start().map(|mut guest| {
            let count = u32::try_from(report.times(TOKENS as usize)).unwrap_or(1);
            let tokens: Vec<_> = (1..=count).map(|it| bearer(issuer, signed, it)).collect();
            let mut tokens = tokens.iter();
            let mut least = f64::MAX;
            for token in tokens.by_ref() {
                guest.stream.replace("authorization", token);
                guest.stream.restore();
                least = least.min(micros(report.least(1, 1, || guest.exchange())));
                assert_eq!(guest.stream.refusal(), None, "{name}");
            }
            least
        });
        note(report, name, pass, at_most);
    }
}

fn note(report: &mut Report, name: &str, micros: Option<f64>, at_most: Option<f64>) {
    let figure = micros.map(Figure::Micros);
    match at_most {
        Some(most) => report.note(name, figure, Figure::Micros(most)),
        None => report.note_only(name, figure),
    }
}

/// The least of many passes, less what it takes to make the request anew.
fn warm(report: &Report, mut guest: Guest) -> f64 {
    let restored = report.least(ROUNDS, PASSES, || guest.stream.restore());
    let passed = report.least(ROUNDS, PASSES, || {
        guest.stream.restore();
        guest.exchange();
    });
    micros(passed) - micros(restored)
}

fn micros(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn case<'a>(name: &'a str, filter: &'a str, config: String) -> Case<'a> {
    Case {
        name,
        filter,
        config,
        field: ("priority", "u=3"),
        property: None,
        refused_by: None,
        crypto: false,
    }
}

fn bearer(issuer: &Issuer, signed: Signed, number: u32) -> String {
    let token = issuer.token(signed, number).expect("a token");
    format!("Bearer {token}")
}

fn ip() -> String {
    r#"{"allow":["10.0.0.0/8","172.16.0.0/12","192.0.2.0/24","2001:db8::/32"],"deny":["192.0.2.66"]}"#
        .to_owned()
}

/// How many keys there are.
const KEYS: u32 = 100;

fn keys() -> String {
    let key = |number: u32| {
        let digest = Sha256::digest(format!("key-number-{number}"));
        let mut hex = String::new();
        for byte in digest {
            write!(hex, "{byte:02x}").expect("a string takes it");
        }
        format!(r#"{{"consumer":"consumer-{number}","sha256":"{hex}"}}"#)
    };
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Somebody with a password of bcrypt's own tests.
fn users() -> String {
    r#"{"users":"ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}"#.to_owned()
}

fn jwt(issuer: &Issuer) -> String {
    let jwks = issuer.jwks().expect("keys");
    format!(
        r#"{{"issuer":"{ISSUER}","audiences":["{AUDIENCE}"],"jwks":{{"inline":{jwks}}},"claimsToHeaders":[{{"claim":"sub","header":"x-subject"}}]}}"#
    )
}

/// What jwt-auth says of the token.
fn verified() -> String {
    format!(
        r#"{{"iss":"{ISSUER}","sub":"{SUBJECT}","aud":["{AUDIENCE}"],"azp":"web","principal":"{ISSUER}/{SUBJECT}","claims":{{"iss":"{ISSUER}","sub":"{SUBJECT}","aud":["{AUDIENCE}"],"exp":4102444800,"iat":1700000000,"azp":"web","scope":"openid orders:read","email":"ann@example.com","roles":["role-0","role-1"]}}}}"#
    )
}

/// A hundred rules, of which the last allows the request.
fn rules(with_token: bool) -> String {
    let from = if with_token {
        format!(r#""from":[{{"source":{{"requestPrincipals":["{ISSUER}/*"]}}}}],"#)
    } else {
        String::new()
    };
    let rule = |path: &str| {
        format!(
            r#"{{{from}"to":[{{"operation":{{"methods":["GET","POST"],"paths":["{path}"]}}}}]}}"#
        )
    };
    let mut rules: Vec<String> = (1..100)
        .map(|it| rule(&format!("/api/part-{it}/*")))
        .collect();
    rules.push(rule("/api/orders/*"));
    format!(r#"{{"rules":[{}]}}"#, rules.join(","))
}

/// Faults that strike nobody.
fn faults() -> String {
    r#"{"abort":{"httpStatus":503,"percentage":0},"delay":{"fixed":"1s","percentage":0}}"#
        .to_owned()
}

fn cors() -> String {
    r#"{"allowOrigins":["https://www.shop.test"],"allowMethods":["GET","POST"]}"#.to_owned()
}

/// A limit that nobody reaches.
fn wide() -> String {
    r#"{"limits":[{"key":["clientIp"],"requests":100000000,"window":"1s"}]}"#.to_owned()
}

fn rollout() -> String {
    r#"{"weight":5,"key":{"header":"x-user"},"salt":"checkout"}"#.to_owned()
}
