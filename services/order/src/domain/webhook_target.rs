//! Where webhooks may go. An address comes from outside, so it must not lead inside: not to the network that the
//! service runs in, and not to the machine that it runs on.
//!
//! The name of a host is resolved once per connection, every address that it has is checked here, and the connection
//! goes to exactly those. So a name that resolves to something else a moment later gains nothing.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use oms_core::Violations;
use url::{Host, Url};

use super::webhook::URL_LEN_MAX;

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// What the IANA registry of special-purpose IPv4 addresses calls not globally reachable, multicast, and the relays of 6to4.
const SPECIAL_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // shared by carriers (CGNAT)
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, with the metadata of clouds
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // relays of 6to4
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarks
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, and broadcast
];

/// IPv6 that is given out to everybody; all else (loopback, mapped IPv4, NAT64, unique local, link-local, multicast) is not.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 3);

/// What of [`GLOBAL_V6`] is special: it leads into IPv4, or nowhere.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),      // protocol assignments, with Teredo
    v6(0x2001, 0x0db8, 32), // documentation
    v6(0x2002, 0, 16),      // 6to4
    v6(0x3fff, 0, 20),      // documentation
];

/// Which addresses and ports webhooks may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Ports of https.
    pub(crate) ports: Vec<u16>,
    /// Networks that are allowed though they are not public.
    pub(crate) networks: Vec<IpNet>,
    /// For development: also this machine, by http or https and at any port.
    pub(crate) allows_loopback: bool,
}

impl Guard {
    /// Whether a connection may go to this address.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        // An IPv4 address that is written as IPv6 leads to the IPv4 address.
        let address = address.to_canonical();
        is_public(address)
            || (self.allows_loopback && address.is_loopback())
            || self
                .networks
                .iter()
                .any(|network| network.contains(&address))
    }

    /// Reads an address of an endpoint and tells everything that is wrong with it.
    pub(crate) fn check_url(&self, text: &str, violations: &mut Violations) {
        let field = "url";
        if text.is_empty() {
            violations.push(field, "FIELD_REQUIRED", "must not be empty");
            return;
        }
        violations.check(
            text.chars().count() <= URL_LEN_MAX,
            field,
            "FIELD_OUT_OF_RANGE",
            format!("may have at most {URL_LEN_MAX} characters"),
        );
        let malformed = "FIELD_MALFORMED";
        let Ok(url) = Url::parse(text) else {
            violations.push(field, malformed, "must be an https:// address");
            return;
        };
        let is_local = self.allows_loopback && url.host().is_some_and(|host| is_local(&host));
        let is_plain = url.scheme() == "http" && is_local;
        if !is_plain && url.scheme() != "https" {
            violations.push(field, malformed, "must begin with https://");
            return;
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        violations.check(
            !has_user,
            field,
            malformed,
            "must not hold a user or a password",
        );
        let has_fragment = url.fragment().is_some();
        violations.check(!has_fragment, field, malformed, "must not have a fragment");
        let port = url.port_or_known_default().unwrap_or_default();
        violations.check(
            is_local || self.ports.contains(&port),
            field,
            "FIELD_OUT_OF_RANGE",
            format!("its port must be one of {:?}", self.ports),
        );
        violations.check(
            self.allows_host(url.host().as_ref()),
            field,
            malformed,
            "must lead to a public address",
        );
    }

    /// Whether a host may be connected to, as far as its name tells: one that is a number is an address.
    pub(crate) fn allows_host(&self, host: Option<&Host<&str>>) -> bool {
        match host {
            Some(Host::Ipv4(address)) => self.allows((*address).into()),
            Some(Host::Ipv6(address)) => self.allows((*address).into()),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }
}

/// Whether everybody may reach an address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// Whether a host says that it is this machine.
fn is_local(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard {
            ports: vec![443, 8443],
            networks: Vec::new(),
            allows_loopback: false,
        }
    }

    fn wrong(guard: &Guard, url: &str) -> Vec<&'static str> {
        let mut violations = Violations::default();
        guard.check_url(url, &mut violations);
        violations.iter().map(|one| one.reason).collect()
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
        ];
        for text in refused {
            assert!(!guard().allows(text.parse().unwrap()), "{text}");
        }
        let allowed = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:200::1",
        ];
        for text in allowed {
            assert!(guard().allows(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn configured_networks_are_allowed_and_nothing_beside_them() {
        let networks = ["10.20.0.0/16", "fd12:3456::/32"];
        let own = Guard {
            networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
            ..guard()
        };
        for (text, is_allowed) in [
            ("10.20.1.1", true),
            ("::ffff:10.20.1.1", true),
            ("10.21.0.1", false),
            ("fd12:3456::1", true),
            ("fd12:3457::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(own.allows(text.parse().unwrap()), is_allowed, "{text}");
        }
    }

    #[test]
    fn addresses_in_disguise_are_refused() {
        for url in [
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://\u{ff11}27.0.0.1/",
            "https://10.0.0.1./",
        ] {
            assert_eq!(wrong(&guard(), url), ["FIELD_MALFORMED"], "{url}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        assert!(wrong(&guard(), "https://shop.example/hooks?key=1").is_empty());
        assert!(wrong(&guard(), "https://shop.example:8443/").is_empty());
        assert_eq!(wrong(&guard(), ""), ["FIELD_REQUIRED"]);
        for url in [
            "shop.example",
            "http://shop.example/",
            "ftp://a.example/",
            "https://",
        ] {
            assert_eq!(wrong(&guard(), url), ["FIELD_MALFORMED"], "{url}");
        }
        let url = format!("https://user:key@10.0.0.1:22/{}#there", "x".repeat(2_048));
        let range = "FIELD_OUT_OF_RANGE";
        let malformed = "FIELD_MALFORMED";
        let all = [range, malformed, malformed, range, malformed];
        assert_eq!(wrong(&guard(), &url), all);
    }

    #[test]
    fn in_development_this_machine_is_allowed() {
        let dev = Guard {
            allows_loopback: true,
            ..guard()
        };
        for url in [
            "http://127.0.0.1:8080/",
            "http://localhost:1/",
            "https://[::1]:9/",
        ] {
            assert!(wrong(&dev, url).is_empty(), "{url}");
            assert!(!wrong(&guard(), url).is_empty(), "{url}");
        }
        for url in [
            "http://shop.example/",
            "http://10.0.0.1/",
            "http://localhost.example/",
        ] {
            assert!(!wrong(&dev, url).is_empty(), "{url}");
        }
    }
}
