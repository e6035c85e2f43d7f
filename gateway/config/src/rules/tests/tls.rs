//! Rules of TLS: listeners, options, Certificate, BackendTLSPolicy, Secrets of certificates.

use super::accepted;
use super::refused;

fn listener(listener: &str) -> String {
    format!(
        "spec: {{ gatewayClassName: tidegate, listeners: [{{ name: a, port: 443, {listener} }}] }}"
    )
}

#[test]
fn tls_belongs_to_protocols_that_speak_it() {
    let tls = "tls: { certificateRefs: [{ name: a }] }";
    for protocol in ["HTTP", "TCP", "UDP", "udp"] {
        refused(
            "Gateway",
            &listener(&format!("protocol: {protocol}, {tls}")),
            &format!("a listener for {protocol} has no `tls`"),
        );
    }
    accepted("Gateway", &listener(&format!("protocol: HTTPS, {tls}")));
    accepted(
        "Gateway",
        &listener(&format!("protocol: other.test/own, {tls}")),
    );
    refused(
        "Gateway",
        &listener(&format!("protocol: TLS, {tls}")),
        "a listener for TLS says its `mode`",
    );
    refused(
        "Gateway",
        &listener("protocol: TLS"),
        "a listener for TLS needs `tls` with its `mode`",
    );
    refused(
        "Gateway",
        &listener("protocol: HTTPS, tls: { mode: Passthrough }"),
        "TLS ends at a listener for HTTPS: its mode is Terminate",
    );
    for protocol in ["HTTPS", "TLS"] {
        refused(
            "Gateway",
            &listener(&format!("protocol: {protocol}, tls: {{ mode: Terminate }}")),
            "TLS that ends here needs `certificateRefs`",
        );
    }
    accepted(
        "Gateway",
        &listener("protocol: TLS, tls: { mode: Passthrough }"),
    );
}

#[test]
fn case_does_not_count_in_protocols() {
    let two = |first: &str, second: &str| {
        format!(
            "spec: {{ gatewayClassName: tidegate, listeners: [{{ name: a, port: 80, protocol: {first} }}, {{ name: b, port: 80, protocol: {second} }}] }}"
        )
    };
    refused(
        "Gateway",
        &two("HTTP", "http"),
        "an earlier listener has the same port, protocol and hostname",
    );
    refused(
        "Gateway",
        &listener("protocol: tcp, hostname: a.test"),
        "a listener for tcp has no hostname",
    );
}

#[test]
fn options_are_known_and_for_tls_that_ends_here() {
    let with = |mode: &str, options: &str| {
        listener(&format!(
            "protocol: TLS, tls: {{ mode: {mode}, certificateRefs: [{{ name: a }}], options: {{ {options} }} }}"
        ))
    };
    refused(
        "Gateway",
        &with("Terminate", "tidegate.dev/min-tls-versoin: '1.3'"),
        "there is no option `tidegate.dev/min-tls-versoin`",
    );
    for bad in ["1.1", "1.0", "TLS1.3", ""] {
        refused(
            "Gateway",
            &with(
                "Terminate",
                &format!("tidegate.dev/min-tls-version: '{bad}'"),
            ),
            &format!("{bad:?} is no version of TLS that is spoken"),
        );
    }
    refused(
        "Gateway",
        &with("Passthrough", "tidegate.dev/min-tls-version: '1.3'"),
        "options are for TLS that ends here",
    );
    accepted(
        "Gateway",
        &with("Terminate", "tidegate.dev/alpn: 'mqtt, dot'"),
    );
    refused(
        "Gateway",
        &with("Terminate", "tidegate.dev/alpn: 'a,b,a'"),
        "\"a\" is offered twice",
    );
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    refused(
        "Gateway",
        &with(
            "Terminate",
            &format!("tidegate.dev/alpn: '{}'", many.join(",")),
        ),
        "at most 16 protocols are offered",
    );
    refused(
        "Gateway",
        &listener(
            "protocol: HTTPS, tls: { certificateRefs: [{ name: a }], options: { tidegate.dev/alpn: h3 } }",
        ),
        "HTTP is not spoken as \"h3\"",
    );
}

#[test]
fn a_port_is_named_once_for_certificates_of_clients() {
    refused(
        "Gateway",
        "spec: { gatewayClassName: tidegate, listeners: [{ name: a, port: 80, protocol: HTTP }], tls: { frontend: { default: {}, perPort: [{ port: 1, tls: {} }, { port: 1, tls: {} }] } } }",
        "the port 1 is named twice",
    );
}

#[test]
fn a_certificate_has_a_key_or_names_authorities() {
    accepted("Certificate", "spec: { certificate: a, key: b }");
    accepted("Certificate", "spec: { ca: a }");
    accepted("Certificate", "spec: { certificate: a, key: b, ca: c }");
    refused(
        "Certificate",
        "spec: { certificate: a }",
        "a certificate needs its `key`",
    );
    refused(
        "Certificate",
        "spec: { key: a, ca: b }",
        "a key needs its `certificate`",
    );
    refused(
        "Certificate",
        "spec: {}",
        "a Certificate needs `certificate` and `key`, or `ca`",
    );
}

#[test]
fn a_secret_for_tls_has_both_keys() {
    accepted(
        "Secret",
        "type: kubernetes.io/tls\ndata: { tls.crt: YQ== }\nstringData: { tls.key: a }",
    );
    refused(
        "Secret",
        "type: kubernetes.io/tls\nstringData: { tls.crt: a }",
        "a Secret of the type kubernetes.io/tls needs `tls.key`",
    );
    accepted("Secret", "data: { a: \"YWFh\\n  YWFh\" }");
}

fn policy(fields: &str) -> String {
    format!(
        "spec: {{ targetRefs: [{{ group: '', kind: Service, name: a }}], validation: {{ {fields} }} }}"
    )
}

#[test]
fn a_backends_certificate_is_believed_for_one_reason() {
    accepted(
        "BackendTLSPolicy",
        &policy("hostname: a.test, wellKnownCACertificates: System"),
    );
    refused(
        "BackendTLSPolicy",
        &policy("hostname: a.test"),
        "who may have signed the backend's certificate is missing",
    );
    refused(
        "BackendTLSPolicy",
        &policy(
            "hostname: a.test, wellKnownCACertificates: System, caCertificateRefs: [{ group: '', kind: ConfigMap, name: a }]",
        ),
        "either `caCertificateRefs` or `wellKnownCACertificates`, not both",
    );
    refused(
        "BackendTLSPolicy",
        &policy("hostname: 1.2.3.4, wellKnownCACertificates: System"),
        "the hostname \"1.2.3.4\" is an IP address; a host is a name",
    );
}

#[test]
fn a_name_in_a_certificate_is_of_its_type() {
    let name = |name: &str| {
        policy(&format!(
            "hostname: a.test, wellKnownCACertificates: System, subjectAltNames: [{{ {name} }}]"
        ))
    };
    accepted(
        "BackendTLSPolicy",
        &name("type: Hostname, hostname: '*.a.test'"),
    );
    accepted("BackendTLSPolicy", &name("type: URI, uri: 'spiffe://a/b'"));
    refused(
        "BackendTLSPolicy",
        &name("type: URI"),
        "this type needs `uri`",
    );
    refused(
        "BackendTLSPolicy",
        &name("type: Hostname"),
        "this type needs `hostname`",
    );
    refused(
        "BackendTLSPolicy",
        &name("type: Hostname, hostname: a.test, uri: 'a:b'"),
        "`uri` does not belong to this type of name",
    );
    for bad in ["a.test/b", "://a", "1a:b", "a:", "a: b"] {
        refused(
            "BackendTLSPolicy",
            &name(&format!("type: URI, uri: '{bad}'")),
            &format!("{bad:?} is not a URI with a scheme"),
        );
    }
}

#[test]
fn a_policy_for_tls_names_services_backends_and_ports() {
    let targets = |targets: &str| {
        format!(
            "spec: {{ targetRefs: [{targets}], validation: {{ hostname: a.test, wellKnownCACertificates: System }} }}"
        )
    };
    refused(
        "BackendTLSPolicy",
        &targets("{ group: tidegate.dev, kind: Backend, name: a, sectionName: b }"),
        "a part of a Backend cannot be a target",
    );
    refused(
        "BackendTLSPolicy",
        &targets(
            "{ group: '', kind: Service, name: a }, { group: '', kind: Service, name: a, sectionName: b }",
        ),
        "several references to `a`: each needs a `sectionName`",
    );
    refused(
        "BackendTLSPolicy",
        &targets("{ group: gateway.networking.k8s.io, kind: Gateway, name: a }"),
        "a Gateway cannot be a target",
    );
}
