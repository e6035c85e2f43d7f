//! What serves after good and bad changes.

#[path = "last_good/backends.rs"]
mod backends;
#[path = "last_good/plugins.rs"]
mod plugins;

use std::fs;

use tidegate_config::draft::Draft;
use tidegate_config::load::Loader;

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec: { gatewayClassName: tidegate, listeners: [{ name: http, port: 80, protocol: HTTP }] }
";

fn backend(port: &str) -> String {
    format!(
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: api }}\nspec: {{ endpoints: [{{ address: '127.0.0.1:{port}' }}] }}\n"
    )
}

fn route(backend: &str, weight: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: shop }}\nspec:\n  parentRefs: [{{ name: edge }}]\n  rules: [{{ backendRefs: [{{ group: tidegate.dev, kind: Backend, name: {backend}, weight: {weight} }}] }}]\n"
    )
}

fn plugin(file: &str) -> String {
    format!(
        "---\napiVersion: tidegate.dev/v1alpha1\nkind: Plugin\nmetadata: {{ name: guard }}\nspec:\n  source: {{ file: {file} }}\n  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]\n"
    )
}

/// A folder of configuration with its loader.
struct Gateway {
    folder: tempfile::TempDir,
    loader: Loader,
}

impl Gateway {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = Loader::with_environment(folder.path(), |_| None);
        Self { folder, loader }
    }

    fn write(&self, file: &str, parts: &[&str]) {
        fs::write(self.folder.path().join(file), parts.concat()).expect("writable");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.folder.path().join(file)).expect("there");
    }

    /// Loads and lets it serve.
    fn load(&mut self) -> Draft {
        let draft = self.loader.load();
        self.loader.commit(&draft, &[]);
        draft
    }

    /// The same after a restart.
    fn restart(&mut self, draft: &Draft) -> Draft {
        self.loader = Loader::with_environment(self.folder.path(), |_| None);
        self.loader.restore(draft.accepted.clone());
        self.load()
    }
}

/// Where requests for `a.test` go: the endpoint's port and the share's weight.
fn serves(draft: &Draft) -> String {
    let Some(bind) = draft.snapshot.binds.first() else {
        return "nothing bound".to_owned();
    };
    let Some(listener) = bind.listeners.claims("a.test").next() else {
        return "no listener".to_owned();
    };
    let head = tidegate_core::message::RequestHead::default();
    let Some(found) = listener.routes.find("a.test", &head) else {
        return "no rule".to_owned();
    };
    let Some(share) = found.rule.backends.first() else {
        return "500".to_owned();
    };
    let backend = share.backend.and_then(|id| draft.snapshot.backends.get(id));
    let port = backend.map_or("500".to_owned(), |backend| {
        let endpoint = backend.endpoints.first();
        endpoint.map_or("503".to_owned(), |one| one.address.port().to_string())
    });
    format!("{port} by {}", share.weight)
}

/// The resources that an older version serves for.
fn last_good(draft: &Draft) -> Vec<String> {
    let old = draft.resources.iter().filter(|one| one.last_good);
    old.map(|one| one.resource.to_string()).collect()
}

#[test]
fn a_good_change_serves() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    assert_eq!(serves(&gateway.load()), "1 by 1");
    gateway.write("a.yaml", &[GATEWAY, &backend("2"), &route("api", "7")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "2 by 7");
    assert_eq!(last_good(&draft), [] as [&str; 0]);
}

#[test]
fn a_refused_resource_keeps_its_last_good_version_and_the_others_change() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    // By schema, by rule, by reference.
    for bad in [
        route("api", "many"),
        route("api", "1").replace("weight: 1", "port: 80"),
        route("other", "7"),
        route("api", "1").replace("edge", "edgy"),
    ] {
        gateway.write("a.yaml", &[GATEWAY, &backend("2"), &bad]);
        let draft = gateway.load();
        assert_eq!(serves(&draft), "2 by 1", "{bad}");
        assert_eq!(last_good(&draft), ["HTTPRoute default/shop"], "{bad}");
        assert_eq!(draft.problems.len(), 1, "{:?}", draft.problems);
        let status = draft
            .resources
            .iter()
            .find(|one| one.last_good)
            .expect("one");
        assert!(!status.conditions[0].status);
        let again = gateway.restart(&draft);
        assert_eq!(serves(&again), "2 by 1", "{bad}");
        assert_eq!(again.problems, draft.problems);
    }
    gateway.write("a.yaml", &[GATEWAY, &backend("2"), &route("api", "7")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "2 by 7");
    assert_eq!(draft.problems, []);
}

#[test]
fn without_a_last_good_version_a_refused_route_answers_500() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "many")]);
    assert_eq!(serves(&gateway.load()), "500");
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("other", "3")]);
    assert_eq!(serves(&gateway.load()), "500 by 3");
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("x"), &route("api", "3")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "500 by 3");
    assert_eq!(draft.problems.len(), 1, "the route is not to blame");
}

#[test]
fn a_last_good_route_keeps_a_backend_that_is_gone() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &route("api", "1")]);
    gateway.write("b.yaml", &[&backend("1")]);
    gateway.load();
    gateway.remove("b.yaml");
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(
        last_good(&draft),
        ["Backend default/api", "HTTPRoute default/shop"]
    );
    assert_eq!(draft.problems.len(), 1);
    assert_eq!(serves(&gateway.restart(&draft)), "1 by 1");
    // It comes to life no more when somebody else could use it.
    gateway.write("a.yaml", &[GATEWAY]);
    let draft = gateway.load();
    assert_eq!(draft.snapshot.backends.iter().count(), 0);
}

#[test]
fn a_removed_document_is_deleted() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    gateway.write("a.yaml", &[GATEWAY, &backend("1")]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "no rule");
    assert_eq!(draft.problems, []);
}

#[test]
fn a_file_that_cannot_be_read_keeps_what_it_held() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY]);
    gateway.write("b.yaml", &[&backend("1"), &route("api", "1")]);
    gateway.load();
    for bad in ["spec: [", "\0", "---\n- a\n"] {
        gateway.write("b.yaml", &[bad]);
        let draft = gateway.load();
        assert_eq!(serves(&draft), "1 by 1", "{bad:?}");
        assert_eq!(draft.problems.len(), 1, "{bad:?}");
        assert_eq!(serves(&gateway.restart(&draft)), "1 by 1", "{bad:?}");
    }
    // A broken document beside good ones: those are taken as they are.
    gateway.write("b.yaml", &[&backend("2"), "---\nkind: ["]);
    assert_eq!(serves(&gateway.load()), "2 by 1");
}

#[test]
fn an_empty_folder_keeps_everything() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    gateway.remove("a.yaml");
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(draft.problems.len(), 1);
    fs::remove_dir_all(gateway.folder.path()).expect("there");
    assert_eq!(serves(&gateway.load()), "1 by 1");
    fs::create_dir(gateway.folder.path()).expect("gone");
}

#[test]
fn what_is_never_committed_is_no_last_good_version() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    gateway.write("a.yaml", &[GATEWAY, &backend("2"), &route("api", "1")]);
    gateway.loader.load();
    gateway.write("a.yaml", &[GATEWAY, &backend("x"), &route("api", "1")]);
    assert_eq!(serves(&gateway.load()), "1 by 1");
}

#[test]
fn two_gateways_that_want_one_port_leave_it_to_who_has_it() {
    let mut gateway = Gateway::new();
    gateway.write("a.yaml", &[GATEWAY, &backend("1"), &route("api", "1")]);
    gateway.load();
    let second = GATEWAY.replace("edge", "zone");
    gateway.write("b.yaml", &[&second]);
    let draft = gateway.load();
    assert_eq!(serves(&draft), "1 by 1");
    assert_eq!(draft.snapshot.binds.len(), 1);
    assert_eq!(draft.problems.len(), 1);
}
