//! Answers to lookups of names.
//!
//! Owns the bytes a guest reads for an answer, which are Envoy's: the count, the seconds each address
//! is good for, and the addresses as text, each ended by a NUL.

use bytes::Bytes;

use super::Instance;
use super::entry::Call;
use crate::context::{ContextId, Kind};
use crate::fault::Fault;
use crate::functions::Callback;
use crate::services::{DnsAddress, DnsLookup, DnsToken};
use crate::state::Input;
use crate::stream::Streams;

impl Instance {
    /// Takes the lookups that were asked for. Costs nothing if there are none.
    #[must_use]
    pub fn take_dns_lookups(&mut self) -> Vec<DnsLookup> {
        std::mem::take(&mut self.store.data_mut().lookups.queued)
    }

    /// Gives a root context the addresses of a name; `None` if it has none or nobody could tell. An
    /// answer that nobody waits for is dropped.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_resolve_dns(
        &mut self,
        streams: &mut dyn Streams,
        root: ContextId,
        token: DnsToken,
        addresses: Option<&[DnsAddress]>,
    ) -> Result<(), Fault> {
        const NAME: &str = "envoy_on_resolve_dns";

        self.usable()?;
        let lookups = &mut self.store.data_mut().lookups.open;
        if lookups.remove(&token.0).is_none() {
            return Ok(());
        }
        let context = self.context(root, Kind::Root, NAME)?;
        let data = addresses.map_or_else(Bytes::new, encode);
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let call = Call {
            callback: Callback::ResolveDns,
            name: NAME,
            context,
        };
        self.store.data_mut().running.input = Input::CallData(data);
        let entered = self.enter(
            streams,
            call,
            |exports| exports.resolve_dns.as_ref(),
            (root.get(), token.0, size),
        );
        self.store.data_mut().running.input = Input::None;
        entered?;
        self.delete_released(streams)
    }
}

fn encode(addresses: &[DnsAddress]) -> Bytes {
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut wire = count.to_le_bytes().to_vec();
    for address in addresses {
        wire.extend_from_slice(&address.ttl.to_le_bytes());
    }
    for address in addresses {
        wire.extend_from_slice(address.address.to_string().as_bytes());
        wire.push(0);
    }
    wire.into()
}
