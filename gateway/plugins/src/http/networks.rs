//! Which addresses code may be fetched from.
//!
//! Owns the rules. Who writes a Plugin may be trusted less than who runs the gateway, so a
//! reference must not make the gateway ask what only the gateway reaches: metadata services never,
//! loopback only where the reference itself says so, everything else as the operator allows.
//! The check is made on the address that is connected to, after names were looked up.

use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_core::addresses;
use tidegate_core::addresses::Special;

/// The networks that an operator allows and denies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// If there are any, no other address is fetched from.
    pub allow: Vec<IpNet>,
    /// Never fetched from, also if allowed.
    pub deny: Vec<IpNet>,
}

/// Why an address is not fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is link-local: neighbours, and the metadata services of clouds.
    #[error("link-local addresses are never fetched from")]
    LinkLocal,
    /// It is a metadata service of a cloud that is not link-local.
    #[error("metadata services are never fetched from")]
    Metadata,
    /// It is no single machine's.
    #[error("it is not the address of one machine")]
    Unspecified,
    /// It is this machine's, and a name or another host led to it.
    #[error(
        "loopback is fetched from only if the reference says so itself (localhost, 127.0.0.1, ::1) \
         or the operator allows its network"
    )]
    Loopback,
    /// The operator denies its network.
    #[error("the operator denies its network")]
    Denied,
    /// The operator allows other networks.
    #[error("it is in none of the networks that the operator allows")]
    NotAllowed,
}

/// How an address came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Loopback {
    /// The reference names loopback, and nobody else sent us.
    Named,
    /// A name was looked up, or another host sent us.
    Hidden,
}

impl Networks {
    /// Whether an address may be connected to.
    pub(crate) fn check(&self, address: IpAddr, loopback: Loopback) -> Result<(), Refused> {
        let address = address.to_canonical();
        self.check_one(address, loopback)?;
        // What a translator on the way would make of it.
        let others = addresses::meanings(address).filter(|other| *other != address);
        for other in others {
            self.check_one(other, Loopback::Hidden)?;
        }
        Ok(())
    }

    fn check_one(&self, address: IpAddr, loopback: Loopback) -> Result<(), Refused> {
        never(address)?;
        if contains(&self.deny, address) {
            return Err(Refused::Denied);
        }
        if contains(&self.allow, address) {
            return Ok(());
        }
        if address.is_loopback() && loopback == Loopback::Hidden {
            return Err(Refused::Loopback);
        }
        if self.allow.is_empty() {
            Ok(())
        } else {
            Err(Refused::NotAllowed)
        }
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// What no operator can allow.
fn never(address: IpAddr) -> Result<(), Refused> {
    match addresses::special(address) {
        None => Ok(()),
        Some(Special::NoHost) => Err(Refused::Unspecified),
        Some(Special::LinkLocal) => Err(Refused::LinkLocal),
        Some(Special::Metadata) => Err(Refused::Metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::Loopback;
    use super::Networks;
    use super::Refused;

    #[track_caller]
    fn check(networks: &Networks, address: &str, expected: Result<(), Refused>) {
        let parsed = address.parse().expect(address);
        assert_eq!(
            networks.check(parsed, Loopback::Hidden),
            expected,
            "{address}"
        );
    }

    fn everything() -> Networks {
        Networks {
            allow: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            deny: Vec::new(),
        }
    }

    #[test]
    fn metadata_link_local_and_unspecified_addresses_are_never_allowed() {
        for networks in [Networks::default(), everything()] {
            check(&networks, "169.254.169.254", Err(Refused::LinkLocal));
            check(&networks, "fe80::1", Err(Refused::LinkLocal));
            check(&networks, "100.100.100.200", Err(Refused::Metadata));
            check(&networks, "168.63.129.16", Err(Refused::Metadata));
            check(&networks, "fd00:ec2::254", Err(Refused::Metadata));
            check(&networks, "fd00:c1::a9fe:a9fe", Err(Refused::Metadata));
            check(&networks, "0.0.0.0", Err(Refused::Unspecified));
            check(&networks, "0.1.2.3", Err(Refused::Unspecified));
            check(&networks, "::", Err(Refused::Unspecified));
            check(&networks, "255.255.255.255", Err(Refused::Unspecified));
            check(&networks, "224.0.0.1", Err(Refused::Unspecified));
        }
    }

    #[test]
    fn no_other_way_to_write_an_address_goes_around() {
        for networks in [Networks::default(), everything()] {
            for address in [
                "::ffff:169.254.169.254",
                "::169.254.169.254",
                "64:ff9b::169.254.169.254",
                "64:ff9b:1::169.254.169.254",
                "2002:a9fe:a9fe::1",
                "::ffff:0:169.254.169.254",
                "2001:0:1:2:0:3:5601:5601",
                "2001:db8::5efe:169.254.169.254",
                "2002:a00:1::5efe:169.254.169.254",
                "64:ff9b:1:a9fe:a9:fe00::",
            ] {
                check(&networks, address, Err(Refused::LinkLocal));
            }
        }
        check(
            &Networks::default(),
            "::ffff:127.0.0.1",
            Err(Refused::Loopback),
        );
        check(
            &Networks::default(),
            "64:ff9b::127.0.0.1",
            Err(Refused::Loopback),
        );
    }

    #[test]
    fn loopback_must_be_named_or_allowed() {
        let networks = Networks::default();
        for address in ["127.0.0.1", "127.9.9.9", "::1"] {
            check(&networks, address, Err(Refused::Loopback));
            let named = networks.check(address.parse().unwrap(), Loopback::Named);
            assert_eq!(named, Ok(()));
        }
        check(&everything(), "127.0.0.1", Ok(()));
    }

    #[test]
    fn the_operators_lists_decide_the_rest() {
        let networks = Networks {
            allow: vec!["10.0.0.0/8".parse().unwrap()],
            deny: vec!["10.1.0.0/16".parse().unwrap()],
        };
        check(&networks, "10.2.0.1", Ok(()));
        check(&networks, "10.1.0.1", Err(Refused::Denied));
        check(&networks, "192.0.2.1", Err(Refused::NotAllowed));
        let named = networks.check("127.0.0.1".parse().unwrap(), Loopback::Named);
        assert_eq!(named, Err(Refused::NotAllowed));
        check(&Networks::default(), "192.168.1.1", Ok(()));
        check(&Networks::default(), "2001:db8::1", Ok(()));
    }
}
