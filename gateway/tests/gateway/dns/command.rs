//! `tidegate proxy --to http://NAME`: names on the command line.

use tidegate_testkit::Dns;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use super::ONE;
use crate::process::Running;
use crate::process::ask;
use crate::process::finish;
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
