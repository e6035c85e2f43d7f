//! Names that filters want resolved (Envoy's `envoy_resolve_dns`).
//!
//! Owns the bounds: so many names of a worker are looked up at once by the system's resolver, on
//! threads for such waits, and the rest waits. Every lookup has an answer in the end, if only that
//! there is none. It belongs to the instance that asked.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_host_abi::DnsAddress;
use tidegate_host_abi::DnsLookup;
use tokio::sync::Semaphore;

use crate::filters::callout::still;
use crate::filters::vm::Vm;

/// Lookups of one worker that run at once: each takes a thread for as long as the resolver waits.
pub(crate) const AT_ONCE: usize = 8;
/// How long a filter waits, for its turn and for the resolver.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is said of a name's addresses: the system's resolver does not tell. An address in place of a
/// name is good for no time, as in Envoy.
const TTL: u32 = 60;
/// Addresses of one answer.
const MOST_ADDRESSES: usize = 256;

/// Looks a name up on a task of its own; the filter is called back when it ends.
pub(crate) fn start(vm: &Rc<Vm>, lookup: DnsLookup) {
    let Some(worker) = vm.worker() else { return };
    let generation = vm.generation();
    let vm = Rc::downgrade(vm);
    // The worker's runtime owns the task; it ends by its time limit.
    tokio::task::spawn_local(async move {
        let DnsLookup { token, root, name } = lookup;
        let addresses = match tokio::time::timeout(PATIENCE, resolve(&worker.resolving, name)).await
        {
            Ok(addresses) => addresses,
            Err(_) => {
                tracing::debug!("a filter's lookup took too long");
                None
            }
        };
        let Some(vm) = still(&vm, generation) else {
            return;
        };
        let entered = vm.enter(None, |instance, streams| {
            instance.on_resolve_dns(streams, root, token, addresses.as_deref())
        });
        if entered.is_err() {
            tracing::debug!(
                token = token.0,
                "a lookup's answer ended its filter's instance"
            );
        }
    });
}

async fn resolve(turns: &Arc<Semaphore>, name: String) -> Option<Vec<DnsAddress>> {
    if name.is_empty() {
        return Some(Vec::new()); // So it is in Envoy.
    }
    let ttl = if name.parse::<IpAddr>().is_ok() {
        0
    } else {
        TTL
    };
    let turn = Arc::clone(turns).acquire_owned().await.ok()?;
    let found = tokio::task::spawn_blocking(move || {
        // Until the resolver is done, also if nobody waits any more.
        let _turn = turn;
        (name.as_str(), 0).to_socket_addrs().map(Vec::from_iter)
    });
    match found.await.ok()? {
        Ok(found) => some(found, ttl),
        Err(err) => {
            tracing::debug!(%err, "a filter's lookup failed");
            None
        }
    }
}

/// As Envoy by default: the addresses of version 6 if there are any, else those of version 4.
fn some(found: Vec<SocketAddr>, ttl: u32) -> Option<Vec<DnsAddress>> {
    let newer = found.iter().any(SocketAddr::is_ipv6);
    let mut seen = BTreeSet::new();
    let addresses: Vec<DnsAddress> = found
        .into_iter()
        .filter(|address| address.is_ipv6() == newer && seen.insert(*address))
        .take(MOST_ADDRESSES)
        .map(|address| DnsAddress { ttl, address })
        .collect();
    (!addresses.is_empty()).then_some(addresses)
}

#[cfg(test)]
mod tests {
    use super::some;

    #[test]
    fn addresses_are_of_one_version_and_each_comes_once() {
        let of = |list: &[&str]| {
            let found = list.iter().map(|text| text.parse().expect("an address"));
            let found = some(found.collect(), 60)?;
            Some(Vec::from_iter(
                found.iter().map(|one| one.address.to_string()),
            ))
        };
        let both = ["127.0.0.1:0", "[::1]:0", "[::1]:0"];
        assert_eq!(of(&both), Some(vec!["[::1]:0".to_owned()]));
        let old = ["10.0.0.2:0", "10.0.0.1:0"];
        assert_eq!(of(&old).map(|found| found.len()), Some(2));
        assert_eq!(of(&[]), None);
    }
}
