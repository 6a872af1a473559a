//! Addresses that no sandbox reaches through the proxy: metadata services, this machine, and the
//! private networks around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether nothing may be sent there. With `allow_private` only metadata stays out of reach.
pub(crate) fn is_blocked(address: IpAddr, allow_private: bool) -> bool {
    let address = address.to_canonical();
    is_metadata(address) || (!allow_private && (!is_public(address) || is_own(address)))
}

/// Link-local addresses, and those where clouds serve credentials elsewhere.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address == Ipv4Addr::new(100, 100, 100, 200)
                || address == Ipv4Addr::new(168, 63, 129, 16)
                || address == Ipv4Addr::new(192, 0, 0, 192)
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
                || carried(address).is_some_and(|address| is_metadata(address.into()))
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_documentation()
                || matches!(first, 0 | 224..)
                || (first == 100 && (64..128).contains(&second))
                || (first == 192 && second == 0 && third == 0)
                || (first == 198 && (18..20).contains(&second)))
        }
        IpAddr::V6(address) => {
            let carried = carried(address);
            let [first, second, ..] = address.segments();
            let global =
                first & 0xe000 == 0x2000 && !(first == 0x2001 && matches!(second, 0 | 0xdb8));
            carried.map_or(global, |address| is_public(address.into()))
        }
    }
}

/// The address behind a translated one (NAT64, 6to4).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// Whether it is one of this machine's own; services that listen on all addresses are there, too.
fn is_own(address: IpAddr) -> bool {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return true };
    interfaces.filter_map(|interface| interface.address).any(|own| {
        let v4 = own.as_sockaddr_in().map(|own| IpAddr::from(own.ip()));
        let v6 = own.as_sockaddr_in6().map(|own| IpAddr::from(own.ip()));
        v4.or(v6) == Some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_public_addresses_are_reached() {
        for (address, blocked) in [
            ("93.184.216.34", false),
            ("1.1.1.1", false),
            ("2606:4700::1111", false),
            ("64:ff9b::101:101", false),
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("0.0.0.0", true),
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("198.19.0.1", true),
            ("255.255.255.255", true),
            ("224.0.0.1", true),
            ("169.254.169.254", true),
            ("168.63.129.16", true),
            ("::1", true),
            ("::", true),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("fc00::1", true),
            ("ff02::1", true),
            ("2001:db8::1", true),
            ("2001:0:1::1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("64:ff9b::7f00:1", true),
            ("2002:a9fe:a9fe::1", true),
            ("2002:7f00:1::", true),
        ] {
            assert_eq!(is_blocked(address.parse().unwrap(), false), blocked, "{address}");
        }
    }

    #[test]
    fn metadata_is_blocked_even_where_private_addresses_are_allowed() {
        for (address, blocked) in [
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("::1", false),
            ("169.254.169.254", true),
            ("::ffff:169.254.169.254", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("fd00:ec2::254", true),
            ("fe80::a9fe:a9fe", true),
        ] {
            assert_eq!(is_blocked(address.parse().unwrap(), true), blocked, "{address}");
        }
    }

    #[test]
    fn this_machines_own_addresses_are_blocked() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("203.0.113.9".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn no_other_spelling_of_an_address_opens_it(bits: u32, private: bool) {
            let address = Ipv4Addr::from(bits);
            let [high, low] = [(bits >> 16) as u16, (bits & 0xffff) as u16];
            let mapped = address.to_ipv6_mapped();
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
            let six = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
            let blocked = is_blocked(address.into(), private);
            prop_assert_eq!(is_blocked(mapped.into(), private), blocked);
            for carried in [nat64, six] {
                prop_assert!(!is_metadata(address.into()) || is_blocked(carried.into(), private));
                prop_assert!(private || is_public(carried.into()) == is_public(address.into()));
            }
        }
    }
}
