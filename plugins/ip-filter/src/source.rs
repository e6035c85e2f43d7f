//! The address that a request comes from.

use std::net::IpAddr;

use tidegate_policy::ip_address;
use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::config::From;
use crate::config::Header;

/// The address that counts; `None` if there is none, or it is none.
pub(crate) fn address(req: &Request, cx: &Cx<Config>) -> Option<IpAddr> {
    match &cx.config.from {
        From::ClientAddress => req.client_ip().map(|it| it.to_canonical()),
        From::PeerAddress => {
            let found = cx.property(&["filter_state", "tidegate.peer_address"])?;
            ip_address(&found)
        }
        From::Header(header) => in_header(header, cx),
    }
}

/// Several lines are one list (RFC 9110 5.3); only the property has them all on every host.
fn in_header(header: &Header, cx: &Cx<Config>) -> Option<IpAddr> {
    let list = cx.property(&["request", "headers", &header.name])?;
    let before = usize::from(header.position.saturating_sub(1));
    ip_address(list.rsplit(',').nth(before)?)
}
