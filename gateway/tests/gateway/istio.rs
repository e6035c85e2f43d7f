//! Istio's policies, in the shapes of its documentation, on real traffic.

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_testkit::Authority;
use tidegate_testkit::Client;
use tidegate_testkit::Leaf;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::TlsClient;

use super::process::Folder;
use super::process::Running;
use super::process::ask;
use super::process::backend;
use super::process::finish;
use super::process::route;
use super::process::tidegate;

/// What a refused request is told, as by Istio.
const DENIED: &str = "RBAC: access denied";

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, labels: { app: httpbin } }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: http, port: 0, protocol: HTTP }]
";

/// A gateway that asks clients for certificates, and believes those of one authority.
const MUTUAL: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, labels: { app: httpbin } }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners:
  - name: https
    port: 0
    protocol: HTTPS
    tls: { certificateRefs: [{ group: tidegate.dev, kind: Certificate, name: shop }] }
  tls:
    frontend:
      default:
        validation:
          caCertificateRefs: [{ group: tidegate.dev, kind: Certificate, name: clients }]
---
apiVersion: tidegate.dev/v1alpha1
kind: Certificate
metadata: { name: shop }
spec: { certificate: tls.crt, key: tls.key }
---
apiVersion: tidegate.dev/v1alpha1
kind: Certificate
metadata: { name: clients }
spec: { ca: clients.crt }
";

fn folder(gateway: &str, origin: &Origin, policies: &str) -> Folder {
    Folder::of(&[
        ("gateway.yaml", gateway),
        ("route.yaml", &route("app")),
        ("app.yaml", &backend("app", origin.address())),
        ("policies.yaml", policies),
    ])
}

fn status_of(answer: &Message) -> (u16, String) {
    (answer.status(), answer.text())
}

#[test]
fn an_allow_policy_admits_principals_paths_and_methods_and_nothing_else() {
    let policy = r#"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: httpbin }
spec:
  selector:
    matchLabels:
      app: httpbin
  action: ALLOW
  rules:
  - from:
    - source:
        principals: ["cluster.local/ns/default/sa/curl"]
    - source:
        namespaces: ["test"]
    to:
    - operation:
        methods: ["GET"]
        paths: ["/info*"]
    - operation:
        methods: ["POST"]
        paths: ["/data"]
"#;
    let origin = Origin::answers(200, "hello");
    let (servers, clients) = (Authority::root("servers"), Authority::root("clients"));
    let folder = folder(MUTUAL, &origin, policy);
    let shop = servers.sign(&Leaf::named("shop.test"));
    folder.write("tls.crt", shop.chain.as_bytes());
    folder.write("tls.key", shop.key.as_bytes());
    folder.write("clients.crt", clients.pem.as_bytes());
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    let as_who = |account: &str, line: &str| {
        let leaf = Leaf::named("client.test").uri(&format!("spiffe://cluster.local/{account}"));
        let client = TlsClient::new(&servers.pem, Some(&clients.sign(&leaf.for_clients())));
        let mut connection = client.connect(address, "shop.test").expect("TLS");
        let head = format!("{line} HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n");
        connection.send(head).expect("sent");
        status_of(&connection.response().expect("an answer"))
    };
    let passes = (200, "hello".to_owned());
    let denied = (403, DENIED.to_owned());
    for (account, line, expected) in [
        ("ns/default/sa/curl", "GET /info", &passes),
        ("ns/default/sa/curl", "GET /info/more?x=1", &passes),
        ("ns/default/sa/curl", "POST /data", &passes),
        ("ns/test/sa/any", "GET /info", &passes),
        ("ns/default/sa/curl", "GET /data", &denied),
        ("ns/default/sa/curl", "POST /info", &denied),
        ("ns/default/sa/curl", "POST /data/more", &denied),
        ("ns/default/sa/other", "GET /info", &denied),
        ("ns/tests/sa/curl", "GET /info", &denied),
    ] {
        assert_eq!(as_who(account, line), *expected, "{account} {line}");
    }
    assert_eq!(origin.requests().len(), 4);
}

/// JSON as tokens have it (RFC 7515).
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=chunk.len() {
            let index = usize::try_from(group >> (18 - 6 * at) & 63).expect("small");
            text.push(char::from(*LETTERS.get(index).expect("one of 64")));
        }
    }
    text
}

/// HMAC with SHA-256 (RFC 2104) and a key of less than a block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(one, key)| *one ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(pad(0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

const KEY: &[u8] = b"a key of thirty-two bytes, or so";

fn jwks() -> String {
    let key = base64url(KEY);
    format!(r#"{{"keys":[{{"kty":"oct","kid":"one","alg":"HS256","k":"{key}"}}]}}"#)
}

/// A token of an issuer that ends in a far future.
fn token(issuer: &str, subject: &str, key: &[u8]) -> String {
    let head = base64url(br#"{"alg":"HS256","kid":"one","typ":"JWT"}"#);
    let claims = format!(
        r#"{{"iss":"{issuer}","sub":"{subject}","exp":4685989700,"groups":["group1","group2"]}}"#
    );
    let signed = format!("{head}.{}", base64url(claims.as_bytes()));
    let signature = base64url(&hmac(key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Sees that tokens decide, once the keys are there.
#[track_caller]
fn tokens_decide(gateway: &Running) {
    let address = gateway.address().expect("it listens");
    let get = |path: &str, token: Option<String>| {
        let field = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let fields = format!("Host: shop.test\r\n{}", field.unwrap_or_default());
        status_of(&ask(address, &format!("GET {path}"), &fields))
    };
    let issuer = "testing@secure.istio.io";
    let good = || Some(token(issuer, issuer, KEY));
    assert_eq!(get("/headers", good()), (200, "hello".to_owned()));
    assert_eq!(get("/headers", None), (403, DENIED.to_owned()));
    let stranger = Some(token(issuer, "somebody", KEY));
    assert_eq!(get("/headers", stranger), (403, DENIED.to_owned()));
    // One that is there must be good, also where none is needed.
    let forged = Some(token(issuer, issuer, b"another key of thirty-two bytes."));
    assert_eq!(get("/healthz", forged).0, 401);
    assert_eq!(get("/healthz", None), (200, "hello".to_owned()));
    let other = Some(token("somebody else", issuer, KEY));
    assert_eq!(get("/headers", other).0, 401);
}

/// The issuer's tokens, and policies that need them but for one path.
fn with_keys(keys: &str) -> String {
    format!(
        r#"
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: jwt-example }}
spec:
  selector:
    matchLabels:
      app: httpbin
  jwtRules:
  - issuer: "testing@secure.istio.io"
    {keys}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: deny-without-token }}
spec:
  action: DENY
  rules:
  - from:
    - source:
        notRequestPrincipals: ["*"]
    to:
    - operation:
        notPaths: ["/healthz"]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: require-jwt }}
spec:
  selector:
    matchLabels:
      app: httpbin
  action: ALLOW
  rules:
  - from:
    - source:
        requestPrincipals: ["testing@secure.istio.io/testing@secure.istio.io"]
    when:
    - key: request.auth.claims[groups]
      values: ["group1"]
  - to:
    - operation:
        paths: ["/healthz"]
"#
    )
}

#[test]
fn tokens_are_judged_by_keys_in_the_policy() {
    let origin = Origin::answers(200, "hello");
    let keys = format!("jwks: '{}'", jwks());
    let folder = folder(GATEWAY, &origin, &with_keys(&keys));
    let gateway = Running::start(&folder, &[]);
    tokens_decide(&gateway);
    for (kind, name) in [
        ("RequestAuthentication", "jwt-example"),
        ("AuthorizationPolicy", "require-jwt"),
    ] {
        let resource = gateway.resource(kind, name).expect("it is listed");
        let conditions = resource.get("conditions").map(ToString::to_string);
        let conditions = conditions.unwrap_or_default();
        assert!(conditions.contains("\"default/edge\""), "{conditions}");
        assert!(!conditions.contains("False"), "{conditions}");
    }
}

#[test]
fn tokens_are_judged_by_keys_that_are_fetched() {
    let origin = Origin::answers(200, "hello");
    let keys = jwks();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        keys.len()
    );
    let issuer = Origin::replies(head + &keys);
    let keys = format!("jwksUri: \"http://{}/keys?of=us\"", issuer.address());
    let folder = folder(GATEWAY, &origin, &with_keys(&keys));
    let gateway = Running::start(&folder, &[]);
    tokens_decide(&gateway);
    let asked = issuer.requests();
    let asked = asked.first().expect("the keys were asked for");
    assert!(
        asked.start.starts_with("GET /keys?of=us "),
        "{}",
        asked.start
    );
    assert_eq!(asked.field("host"), Some(&*issuer.address().to_string()));
}

#[test]
fn a_wrong_rule_is_told_at_its_line_and_refuses_the_requests() {
    let policies = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: good }
spec: { rules: [{}] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: bad }
spec:
  action: DENY
  rules:
  - from:
    - source:
        ipBlocks: [10.0.0.0/99]
";
    let origin = Origin::answers(200, "hello");
    let folder = folder(GATEWAY, &origin, policies);
    let mut check = tidegate();
    let (code, page, _) = finish(check.arg("check").arg("-c").arg(folder.path()));
    assert_eq!(code, Some(1), "{page}");
    assert!(page.contains("policies.yaml:15:"), "{page}");
    assert!(
        page.contains("spec.rules[0].from[0].source.ipBlocks[0]"),
        "{page}"
    );
    assert!(!page.contains("policies.yaml:4:"), "{page}");
    let gateway = Running::start(&folder, &["--allow-partial"]);
    let answer = gateway.get("/");
    assert_eq!(answer.status(), 503, "{}", answer.text());
    let bad = gateway
        .resource("AuthorizationPolicy", "bad")
        .expect("listed");
    assert!(bad.to_string().contains("ConfigRefused"), "{bad}");
    // Repaired, it serves.
    let repaired = policies.replace("/99", "/8");
    folder.write("policies.yaml", repaired.as_bytes());
    tidegate_testkit::eventually("the policy to serve", || {
        (gateway.get("/").status() == 200).then_some(())
    });
}

#[test]
fn a_policy_that_goes_bad_over_a_restart_is_enforced_as_it_was() {
    let policy = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-admin }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }
";
    let origin = Origin::answers(200, "hello");
    let folder = folder(GATEWAY, &origin, policy);
    let state = tempfile::tempdir().expect("a folder");
    let state = state.path().to_str().expect("text");
    let decides = |gateway: &Running| {
        assert_eq!(status_of(&gateway.get("/admin")), (403, DENIED.to_owned()));
        assert_eq!(gateway.get("/").status(), 200);
    };
    let gateway = Running::start_with(folder.path(), &["--state-dir", state]);
    decides(&gateway);
    drop(gateway);
    folder.write("policies.yaml", policy.replace("paths", "path").as_bytes());
    let gateway = Running::start_with(folder.path(), &["--state-dir", state]);
    decides(&gateway);
    let status = gateway.resource("AuthorizationPolicy", "deny-admin");
    let status = status.expect("it is listed");
    assert_eq!(status.get("lastGood"), Some(&true.into()), "{status}");
}

#[test]
fn connections_are_closed_as_long_as_rules_hold_for_them() {
    let gateway = GATEWAY.replace(
        "listeners: [",
        "listeners: [{ name: db, port: 0, protocol: TCP }, ",
    );
    let tcp = "
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: { name: db }
spec:
  parentRefs: [{ name: edge, sectionName: db }]
  rules: [{ backendRefs: [{ group: tidegate.dev, kind: Backend, name: app }] }]
";
    let policy = |action: &str| {
        format!(
            "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: rules }}
spec: {{ action: {action}, rules: [{{}}] }}
"
        )
    };
    let origin = Origin::answers(200, "hello");
    let folder = folder(&gateway, &origin, &policy("AUDIT"));
    folder.write("tcp.yaml", tcp.as_bytes());
    let running = Running::start(&folder, &[]);
    let passes = |name: &str| {
        let mut client = Client::connect(running.address_of(name));
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        client
            .try_response()
            .is_ok_and(|answer| answer.status() == 200)
    };
    assert!(passes("/db"));
    folder.write("policies.yaml", policy("ALLOW").as_bytes());
    tidegate_testkit::eventually("connections to be closed", || {
        (!passes("/db")).then_some(())
    });
    assert!(passes("@127.0.0.1:0"), "requests are judged by the rules");
    let page = running
        .resource("AuthorizationPolicy", "rules")
        .expect("listed");
    assert!(
        page.to_string()
            .contains("connections are not supported yet"),
        "{page}"
    );
}

#[test]
fn explain_names_the_policies_that_a_request_meets() {
    let policies = with_keys(&format!("jwks: '{}'", jwks()));
    let origin = Origin::answers(200, "hello");
    let gateway = GATEWAY.replace("port: 0", "port: 8080");
    let folder = folder(&gateway, &origin, &policies);
    let mut explain = tidegate();
    explain.arg("explain").arg("-c").arg(folder.path());
    let (_, page, _) = finish(explain.args(["GET", "http://shop.test:8080/"]));
    let jwt = "RequestAuthentication default/jwt-example (FailClosed)";
    let rules = "AuthorizationPolicy default/deny-without-token, AuthorizationPolicy default/require-jwt \
                 (FailClosed)";
    let (first, then) = (page.find(jwt), page.find(rules));
    assert!(first.is_some() && first < then, "{page}");
}
