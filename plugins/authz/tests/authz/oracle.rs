//! Envoy's own filter (RBAC), asked about the rows of a table: what they expect is what it does.
//!
//! Policies are written for it as Istio would. Each group of rows is a route of one Envoy, found by a
//! header.
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "this is the test's own process, and no module"
)]

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Map;
use serde_json::Value;
use tidegate_sdk_testing::json;

/// A running Envoy.
pub(crate) struct Oracle {
    envoy: Child,
    folder: PathBuf,
    address: SocketAddr,
}

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

impl Oracle {
    /// Starts it with the policies of each group.
    pub(crate) fn start(groups: &[&Value]) -> Self {
        let folder = std::env::temp_dir().join(format!("authz-oracle-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (config, admin) = (folder.join("envoy.json"), folder.join("admin"));
        std::fs::write(&config, configuration(groups).to_string()).expect("a file");
        let program = std::env::var_os("TIDEGATE_ENVOY").unwrap_or_else(|| "envoy".into());
        let envoy = Command::new(program)
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "error",
                "-c",
            ])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("envoy");
        let mut this = Self {
            envoy,
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let began = Instant::now();
        while began.elapsed() < START {
            assert!(matches!(this.envoy.try_wait(), Ok(None)), "Envoy has ended");
            if let Some(address) = listener(&admin) {
                this.address = address;
                return this;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("Envoy is not ready after {START:?}");
    }

    /// What it does with a request of a group: `allowed`, or the detail of its refusal.
    pub(crate) fn ask(&self, group: usize, line: &str, headers: &[(String, String)]) -> String {
        let (method, url) = line.split_once(' ').expect("a method and a URL");
        let (host, path) = url.split_once('/').expect("a host and a path");
        let mut request = format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\n");
        request.push_str(&format!("x-group: {group}\r\nconnection: close\r\n"));
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let answer = exchange(self.address, &request).expect("an answer");
        if answer.starts_with("HTTP/1.1 200 ") {
            return "allowed".to_owned();
        }
        let mut details = answer
            .lines()
            .filter_map(|it| it.strip_prefix("x-details: "));
        let detail = details.next();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{line}: {answer}");
        assert!(answer.ends_with("RBAC: access denied"), "{line}: {answer}");
        detail.expect("a detail").to_owned()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.envoy.kill().ok();
        self.envoy.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Sends a request, and gives the answer: as much of it as it announces, or all until its end.
fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream
        .get_ref()
        .set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.get_mut().write_all(request.as_bytes())?;
    let mut answer = String::new();
    let mut length = None;
    while stream.read_line(&mut answer)? > 2 {
        let line = answer.lines().next_back().unwrap_or_default();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok();
        }
    }
    match length {
        Some(length) => stream.take(length).read_to_string(&mut answer)?,
        None => stream.read_to_string(&mut answer)?,
    };
    Ok(answer)
}

/// The address of its listener, once it serves.
fn listener(admin: &std::path::Path) -> Option<SocketAddr> {
    let admin = std::fs::read_to_string(admin).ok()?.trim().parse().ok()?;
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        exchange(admin, &request).ok()
    };
    ask("/ready")?.contains("LIVE").then_some(())?;
    let listeners = ask("/listeners?format=json")?;
    let (_, body) = listeners.split_once("\"address\": \"127.0.0.1\",")?;
    let (_, port) = body.split_once("\"port_value\": ")?;
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    let port = digits.parse().ok()?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn configuration(groups: &[&Value]) -> Value {
    let any = json!({"address": "127.0.0.1", "port_value": 0});
    let routes: Vec<Value> = groups
        .iter()
        .enumerate()
        .map(|(at, it)| route(at, it))
        .collect();
    let filter = |name: &str| json!({"name": name, "typed_config": typed("filters.http.rbac.v3.RBAC", json!({}))});
    let router = json!({"name": "router", "typed_config": typed("filters.http.router.v3.Router", json!({}))});
    let is_denied = json!({"status_code_filter": {"comparison": {
        "op": "EQ", "value": {"default_value": 403, "runtime_key": "none"},
    }}});
    let detail = json!({"header": {"key": "x-details", "value": "%RESPONSE_CODE_DETAILS%"}});
    let manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "oracle",
            "normalize_path": true,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
            "local_reply_config": {"mappers": [{"filter": is_denied, "headers_to_add": [detail]}]},
            "http_filters": [filter("DENY"), filter("ALLOW"), router],
        }),
    );
    json!({
        "admin": {"address": {"socket_address": any}},
        "static_resources": {"listeners": [{
            "name": "oracle",
            "address": {"socket_address": any},
            "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
        }]},
    })
}

fn typed(name: &str, mut config: Value) -> Value {
    let name = format!("type.googleapis.com/envoy.extensions.{name}");
    if let Some(fields) = config.as_object_mut() {
        fields.insert("@type".to_owned(), name.into());
    }
    config
}

/// The route of a group: an answer, behind its policies.
fn route(group: usize, policies: &Value) -> Value {
    let mut filters = Map::new();
    for action in ["DENY", "ALLOW"] {
        // Without policies of this kind, it is asked nothing.
        let config = match rules(policies, action) {
            Some(rules) => json!({"rbac": {"rules": {"action": action, "policies": rules}}}),
            None => json!({}),
        };
        let config = typed("filters.http.rbac.v3.RBACPerRoute", config);
        filters.insert(action.to_owned(), config);
    }
    json!({
        "match": {"prefix": "/", "headers": [
            {"name": "x-group", "string_match": {"exact": group.to_string()}},
        ]},
        "direct_response": {"status": 200},
        "typed_per_filter_config": filters,
    })
}

/// The policies of an action by their names; none if there is no such policy.
fn rules(policies: &Value, action: &str) -> Option<Value> {
    let mut all = Map::new();
    let mut is_any = false;
    for policy in list(policies) {
        let text = |name: &str, or: &'static str| {
            policy.get(name).map_or(or, |it| it.as_str().expect("text"))
        };
        if text("action", "ALLOW") != action || policy.get("dryRun").is_some() {
            continue;
        }
        is_any = true;
        let (namespace, name) = (text("namespace", "default"), text("name", ""));
        for (at, rule) in list(policy.get("rules").unwrap_or(&Value::Null)).enumerate() {
            let id = format!("ns[{namespace}]-policy[{name}]-rule[{at}]");
            all.insert(id, compiled(rule));
        }
    }
    is_any.then_some(all.into())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What Envoy calls things that are one of, all of, and not.
struct Words {
    and: &'static str,
    or: &'static str,
    not: &'static str,
    list: &'static str,
}

const PERMISSION: Words = Words {
    and: "and_rules",
    or: "or_rules",
    not: "not_rule",
    list: "rules",
};
const PRINCIPAL: Words = Words {
    and: "and_ids",
    or: "or_ids",
    not: "not_id",
    list: "ids",
};

impl Words {
    fn all_of(&self, mut checks: Vec<Value>) -> Value {
        if checks.is_empty() {
            checks.push(json!({"any": true}));
        }
        json!({self.and: {self.list: checks}})
    }

    fn one_of(&self, checks: Vec<Value>, is_not: bool) -> Value {
        let any = json!({self.or: {self.list: checks}});
        match is_not {
            true => json!({self.not: any}),
            false => any,
        }
    }

    /// One of the sources or operations of a rule, each with all that it says and with `more`.
    fn alternatives(&self, rule: &Value, name: &str, inner: &str, more: &[Value]) -> Vec<Value> {
        let Some(all) = rule.get(name) else {
            return vec![self.all_of(more.to_vec())];
        };
        let alternative = |it: &Value| {
            let fields = it.get(inner).and_then(Value::as_object).expect("fields");
            let checks = fields.iter().map(|(name, values)| self.field(name, values));
            self.all_of(checks.chain(more.iter().cloned()).collect())
        };
        list(all).map(alternative).collect()
    }

    /// What a field of a source or an operation says.
    fn field(&self, name: &str, values: &Value) -> Value {
        let (name, is_not) = match name.strip_prefix("not") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let check = |value: &Value| {
            let value = value.as_str().expect("text");
            match &*name.to_ascii_lowercase() {
                "paths" if value.contains("{*") => template(value),
                "paths" => json!({"url_path": {"path": text(value, false)}}),
                "methods" => header(":method", value, false),
                "hosts" => header(":authority", value, true),
                "ipblocks" => json!({"direct_remote_ip": cidr(value)}),
                "remoteipblocks" => json!({"remote_ip": cidr(value)}),
                other => panic!("nobody has told how Envoy knows {other}"),
            }
        };
        self.one_of(list(values).map(check).collect(), is_not)
    }

    /// What a condition says.
    fn condition(&self, condition: &Value) -> Vec<Value> {
        let key = condition.get("key").and_then(Value::as_str).expect("a key");
        let name = key.strip_prefix("request.headers[");
        let name = name.and_then(|it| it.strip_suffix(']'));
        let check = |value: &Value| {
            let value = value.as_str().expect("text");
            match (key, name) {
                (_, Some(name)) => header(name, value, false),
                ("source.ip", _) => json!({"direct_remote_ip": cidr(value)}),
                ("remote.ip", _) => json!({"remote_ip": cidr(value)}),
                (other, _) => panic!("nobody has told how Envoy knows {other}"),
            }
        };
        let lists = [("values", false), ("notValues", true)].into_iter();
        let lists = lists.filter_map(|(name, is_not)| Some((condition.get(name)?, is_not)));
        lists
            .map(|(values, is_not)| self.one_of(list(values).map(check).collect(), is_not))
            .collect()
    }
}

fn compiled(rule: &Value) -> Value {
    let conditions = rule.get("when").into_iter().flat_map(list);
    let conditions: Vec<Value> = conditions.flat_map(|it| PRINCIPAL.condition(it)).collect();
    json!({
        "permissions": PERMISSION.alternatives(rule, "to", "operation", &[]),
        "principals": PRINCIPAL.alternatives(rule, "from", "source", &conditions),
    })
}

fn template(pattern: &str) -> Value {
    let config = json!({"path_template": pattern.replace(['{', '}'], "")});
    let config = typed("path.match.uri_template.v3.UriTemplateMatchConfig", config);
    json!({"uri_template": {"name": "template", "typed_config": config}})
}

fn text(value: &str, ignore_case: bool) -> Value {
    let mut matcher = match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(""), _) => return json!({"safe_regex": {"regex": ".+"}}),
        (Some(rest), _) => json!({"suffix": rest}),
        (_, Some(rest)) => json!({"prefix": rest}),
        _ => json!({"exact": value}),
    };
    if let Some(fields) = matcher.as_object_mut().filter(|_| ignore_case) {
        fields.insert("ignore_case".to_owned(), true.into());
    }
    matcher
}

fn header(name: &str, value: &str, ignore_case: bool) -> Value {
    match value {
        "*" => json!({"header": {"name": name, "present_match": true}}),
        _ => json!({"header": {"name": name, "string_match": text(value, ignore_case)}}),
    }
}

fn cidr(block: &str) -> Value {
    let (address, bits) = block.split_once('/').unwrap_or(match block.contains(':') {
        true => (block, "128"),
        false => (block, "32"),
    });
    let bits: u32 = bits.parse().expect("a number");
    json!({"address_prefix": address, "prefix_len": bits})
}
