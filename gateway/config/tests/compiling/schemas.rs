//! What the kinds' schemas say.

use tidegate_config::export::crds;
use tidegate_config::export::json_schema;
use tidegate_config::export::reference_page;
use tidegate_config::kinds;

#[test]
fn every_schema_is_understood_by_the_checker() {
    for kind in [kinds::schemas(), kinds::operator_schemas()].concat() {
        assert_eq!(kind.not_understood(), &[] as &[String], "{}", kind.kind);
    }
}

#[test]
fn every_kind_can_be_exported() {
    for kind in kinds::schemas() {
        assert!(reference_page(&kind).contains(kind.kind));
    }
    assert!(json_schema(&kinds::schemas()).is_object());
    let definitions = crds(&kinds::own_schemas());
    for kind in [
        "Backend",
        "BackendPolicy",
        "Certificate",
        "Plugin",
        "Telemetry",
        "TrafficPolicy",
    ] {
        assert!(definitions.contains(&format!("kind: {kind}")), "{kind}");
    }
    assert!(!definitions.contains("HTTPRoute\n"));
}
