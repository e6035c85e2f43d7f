//! `tidegate proxy --to http://NAME`: names on the command line.

use tidegate_testkit::Dns;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use super::ONE;
use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::ask;
use crate::process::finish;
use crate::process::route;
use crate::process::tidegate;

#[test]
fn an_origin_by_name_is_looked_up_while_it_serves() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    let mut command = tidegate();
    command.args(["proxy", "--listen", "127.0.0.1:0", "--access-log", "off"]);
    command.arg("--to");
    command.arg(format!("http://origin.test:{}", origin.address().port()));
    command.args(["--dns-server", &dns.address().to_string()]);
    let gateway = Running::spawn_bare(&mut command);
    let line = gateway.logs("listening on ");
    let address = line.rsplit(' ').next();
    let address = address.and_then(|text| text.trim().parse().ok());
    let address = address.expect("an address");
    let get = || ask(address, "GET /", "Host: a.test\r\n");
    assert_eq!(get().status(), 503);
    gateway.logs("origin.test: the name does not exist");
    dns.addresses("origin.test", &[ONE], 60);
    eventually("it is found", || (get().status() == 200).then_some(()));
    gateway.logs("origin: endpoints from DNS: 1");
}

#[test]
fn a_name_server_is_an_address() {
    let mut command = tidegate();
    command.args(["proxy", "--to", "http://a.test", "--dns-server", "dns.test"]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(2));
    assert!(
        err.contains("--dns-server") && err.contains("10.0.0.53"),
        "{err}"
    );
}

#[test]
fn a_backend_of_names_is_followed_and_the_admin_api_says_how_it_stands() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    let backend = format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: shop }}
spec: {{ dns: {{ host: shop.test., port: {} }} }}
",
        origin.address().port()
    );
    let files = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("shop")),
        ("backend.yaml", &backend),
    ]);
    let gateway = Running::start(&files, &["--dns-server", &dns.address().to_string()]);
    assert_eq!(gateway.get("/").status(), 503);
    let condition = || {
        let shop = gateway.resource("Backend", "shop")?;
        let conditions = shop["conditions"].as_array()?.clone();
        conditions.into_iter().find(|one| one["type"] == "Resolved")
    };
    let before = condition().expect("it is there");
    assert_eq!(
        (&before["status"], &before["reason"]),
        (&"False".into(), &"NoAddresses".into())
    );
    dns.addresses("shop.test", &[ONE], 60);
    eventually("it is found", || {
        (gateway.get("/").status() == 200).then_some(())
    });
    let after = condition().expect("it is there");
    assert_eq!(
        (&after["status"], &after["reason"]),
        (&"True".into(), &"Resolved".into())
    );
    let dump = gateway.json("/config_dump");
    assert_eq!(
        dump["backends"][0]["endpoints"][0]["address"],
        origin.address().to_string()
    );
    let page = gateway.admin("GET /metrics").text();
    assert!(
        page.contains("tidegate_dns_endpoints{backend=\"default/shop\"} 1"),
        "{page}"
    );
}
