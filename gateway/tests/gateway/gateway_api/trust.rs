//! The certificates of cases: files beside the resources, clients that believe and show some, and
//! origins behind TLS.
//!
//! Files: `shop` and `market` are of hosts (with those below them), `gateway` is for backends that ask,
//! each as `.crt` and `.key`; `authority.crt` has signed them all, `stranger.crt` none.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tidegate_testkit::Authority;
use tidegate_testkit::Leaf;
use tidegate_testkit::Pair;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;

use super::cases::Shown;

/// All that is believed and shown.
#[derive(Debug)]
pub(crate) struct Trust {
    authority: Authority,
    stranger: Authority,
    gateway: Pair,
}

impl Default for Trust {
    fn default() -> Self {
        let authority = Authority::root("authority");
        let gateway = authority.sign(&Leaf::named("gateway.test").for_clients());
        Self {
            stranger: Authority::root("stranger"),
            gateway,
            authority,
        }
    }
}

impl Trust {
    /// Writes the files.
    pub(crate) fn write(&self, folder: &Path) {
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("writable");
        };
        for name in ["shop", "market"] {
            let host = format!("{name}.test");
            let leaf = Leaf::named(&host).and_name(&format!("*.{host}"));
            let pair = self.authority.sign(&leaf);
            write(&format!("{name}.crt"), &pair.chain);
            write(&format!("{name}.key"), &pair.key);
        }
        write("gateway.crt", &self.gateway.chain);
        write("gateway.key", &self.gateway.key);
        write("authority.crt", &self.authority.pem);
        write("stranger.crt", &self.stranger.pem);
    }

    /// A client that shows nothing, or a certificate of one of the authorities.
    pub(crate) fn client(&self, shows: Option<Shown>) -> TlsClient {
        let leaf = Leaf::named("client.test").for_clients();
        let shown = shows.map(|shown| match shown {
            Shown::Authority => self.authority.sign(&leaf),
            Shown::Stranger => self.stranger.sign(&leaf),
        });
        TlsClient::new(&self.authority.pem, shown.as_ref())
    }

    /// TLS in front of an origin `name`: as `name.test` and `spiffe://cases/name`.
    pub(crate) fn front(&self, name: &str, origin: SocketAddr, asks: bool) -> TlsFront {
        let leaf = Leaf::named(&format!("{name}.test")).uri(&format!("spiffe://cases/{name}"));
        let pair = self.authority.sign(&leaf);
        let clients = asks.then_some(self.authority.pem.as_str());
        TlsFront::new(origin, &pair, &[], clients)
    }
}
