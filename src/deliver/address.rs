//! Which addresses may be called, and the one look-up of a name before a call.
//!
//! Link-local addresses are never called: clouds answer there with the machine's own credentials. With
//! `outbound: public-only` nothing but public addresses is. Every address that a name has must pass, and the connection goes
//! to the addresses that were checked: a name that answers differently the second time gains nothing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::Outbound;

/// What a look-up gives in the end.
pub type LookingUp<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// How names become addresses.
pub trait Lookup: Send + Sync {
    /// All addresses of a name.
    fn lookup<'a>(&'a self, host: &'a str) -> LookingUp<'a>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup<'a>(&'a self, host: &'a str) -> LookingUp<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// That an address must not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRefused {
    pub address: IpAddr,
    /// What sort of address it is: `loopback`.
    pub sort: &'static str,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is a {} address, which must not be called", self.address, self.sort)
    }
}

impl std::error::Error for AddressRefused {}

/// Looks up names for calls and refuses what must not be called.
#[derive(Clone)]
pub struct Guard {
    outbound: Outbound,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    /// A guard that resolves by `lookup`.
    #[must_use]
    pub fn new(outbound: Outbound, lookup: Arc<dyn Lookup>) -> Guard {
        Guard { outbound, lookup }
    }

    /// Checks a host that is written as an address; names pass and are checked when they are resolved.
    ///
    /// # Errors
    /// When the address must not be called.
    pub fn check_literal(&self, host: &str) -> Result<(), AddressRefused> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        bare.parse().map_or(Ok(()), |address| check(address, self.outbound))
    }

    /// The checked addresses of a host, a name or an address.
    ///
    /// # Errors
    /// An [`AddressRefused`] inside when any of them must not be called; otherwise the look-up's own.
    pub async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => self.lookup.lookup(host).await?,
        };
        for address in &addresses {
            check(*address, self.outbound).map_err(io::Error::other)?;
        }
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = Guard::resolve(&guard, name.as_str()).await?;
            // Port 0 stands for the one of the URL.
            Ok(Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// Whether `address` may be called under a setting.
///
/// # Errors
/// What sort of address it is, when it may not.
pub fn check(address: IpAddr, outbound: Outbound) -> Result<(), AddressRefused> {
    let sort = match outbound {
        Outbound::Open => never(address),
        Outbound::PublicOnly => never(address).or_else(|| not_public(address)),
    };
    match sort {
        Some(sort) => Err(AddressRefused { address, sort }),
        None => Ok(()),
    }
}

/// Addresses that no setting opens.
fn never(address: IpAddr) -> Option<&'static str> {
    /// Where one cloud answers with the machine's credentials over IPv6.
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => v4.is_link_local().then_some("link-local"),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => never(IpAddr::V4(v4)),
            None if v6.is_unicast_link_local() => Some("link-local"),
            None if v6 == METADATA_V6 => Some("metadata"),
            None => None,
        },
    }
}

/// Addresses that are not on the public internet, by IANA's registries of special-purpose addresses.
fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => not_public_v4(v4),
        // Translated by a gateway of the site's own (RFC 8215), wherever to.
        IpAddr::V6(v6) if v6.segments()[..3] == [0x64, 0xff9b, 1] => Some("private"),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => not_public_v4(v4),
            None => not_public_v6(v6),
        },
    }
}

fn not_public_v4(v4: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = v4.octets();
    match (a, b, c) {
        (0, _, _) => Some("unspecified"),
        (127, _, _) => Some("loopback"),
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) => Some("private"),
        (100, 64..=127, _) => Some("shared (carrier NAT)"),
        (169, 254, _) => Some("link-local"),
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) | (240..=255, _, _) => {
            Some("reserved")
        }
        (224..=239, _, _) => Some("multicast"),
        _ => None,
    }
}

fn not_public_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let s = v6.segments();
    match s[0] {
        0 if v6.is_loopback() => Some("loopback"),
        0 if v6.is_unspecified() => Some("unspecified"),
        0xfc00..=0xfdff => Some("private"),
        0xfe80..=0xfeff => Some("link-local"),
        0xff00..=0xffff => Some("multicast"),
        // Protocol assignments (Teredo among them) and documentation.
        0x2001 if s[1] < 0x200 || s[1] == 0x0db8 => Some("reserved"),
        0x3fff if s[1] < 0x1000 => Some("reserved"),
        0x2000..=0x3fff => None,
        _ => Some("reserved"),
    }
}

/// The IPv4 address inside an IPv6 one that leads there: mapped, compatible, 6to4, and both NAT64 prefixes.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match s {
        // ::0 and ::1 are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        // Translated (RFC 2765), and the local-use prefix of RFC 8215 in its usual length.
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, whether `open` takes it, whether `public-only` does.
    const ADDRESSES: &[(&str, bool, bool)] = &[
        ("8.8.8.8", true, true),
        ("2606:4700::1111", true, true),
        ("::ffff:8.8.8.8", true, true),
        ("64:ff9b::8.8.8.8", true, true),
        ("2002:808:808::1", true, true),
        ("127.0.0.1", true, false),
        ("127.255.255.254", true, false),
        ("0.0.0.0", true, false),
        ("0.1.2.3", true, false),
        ("10.0.0.1", true, false),
        ("172.16.0.1", true, false),
        ("172.31.255.255", true, false),
        ("172.32.0.1", true, true),
        ("192.168.1.1", true, false),
        ("100.64.0.1", true, false),
        ("100.128.0.1", true, true),
        ("192.0.2.1", true, false),
        ("198.18.0.1", true, false),
        ("203.0.113.9", true, false),
        ("224.0.0.1", true, false),
        ("255.255.255.255", true, false),
        ("169.254.169.254", false, false),
        ("169.254.0.1", false, false),
        ("fe80::1", false, false),
        ("febf::1", false, false),
        ("fd00:ec2::254", false, false),
        ("::ffff:169.254.169.254", false, false),
        ("::169.254.169.254", false, false),
        ("2002:a9fe:a9fe::1", false, false),
        ("64:ff9b::169.254.169.254", false, false),
        ("64:ff9b:1::169.254.169.254", false, false),
        ("::1", true, false),
        ("::", true, false),
        ("::ffff:127.0.0.1", true, false),
        ("::ffff:10.1.2.3", true, false),
        ("2002:7f00:1::", true, false),
        ("2002:c0a8:101::", true, false),
        ("64:ff9b::127.0.0.1", true, false),
        ("64:ff9b:1::8.8.8.8", true, false),
        ("fc00::1", true, false),
        ("fd12:3456::1", true, false),
        ("fec0::1", true, false),
        ("ff02::1", true, false),
        ("2001:db8::1", true, false),
        ("2001:0:1234::1", true, false),
        ("100::1", true, false),
        ("3fff::1", true, false),
    ];

    #[test]
    fn addresses_by_setting() {
        for (text, open, public) in ADDRESSES {
            let address = text.parse().unwrap();
            assert_eq!(check(address, Outbound::Open).is_ok(), *open, "{text} with open");
            assert_eq!(check(address, Outbound::PublicOnly).is_ok(), *public, "{text} with public-only");
        }
    }

    #[test]
    fn hosts_of_urls_in_every_spelling() {
        let guard = Guard::new(Outbound::PublicOnly, Arc::new(SystemLookup));
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://①②⑦.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:127.0.0.1]/",
            "http://user:pass@10.0.0.1:8080/",
        ] {
            let url = reqwest::Url::parse(url).unwrap();
            assert!(guard.check_literal(url.host_str().unwrap()).is_err(), "{url}");
        }
        for url in ["http://8.8.8.8/", "http://hooks.example/", "http://[2606:4700::1111]/"] {
            let url = reqwest::Url::parse(url).unwrap();
            assert_eq!(guard.check_literal(url.host_str().unwrap()), Ok(()), "{url}");
        }
    }

    struct Fixed(Vec<IpAddr>);

    impl Lookup for Fixed {
        fn lookup<'a>(&'a self, _: &'a str) -> LookingUp<'a> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    #[tokio::test]
    async fn one_bad_address_of_a_name_refuses_all() {
        let addresses = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<IpAddr>>();
        for (given, refused) in [
            (addresses(&["8.8.8.8"]), false),
            (addresses(&["8.8.8.8", "10.0.0.1"]), true),
            (addresses(&["169.254.169.254"]), true),
        ] {
            let guard = Guard::new(Outbound::PublicOnly, Arc::new(Fixed(given.clone())));
            let found = guard.resolve("name.example").await;
            let is_refusal =
                found.as_ref().is_err_and(|e| e.get_ref().is_some_and(|inner| inner.downcast_ref::<AddressRefused>().is_some()));
            assert_eq!(is_refusal, refused, "{given:?}: {found:?}");
        }
        assert!(Guard::new(Outbound::Open, Arc::new(Fixed(vec![]))).resolve("name.example").await.is_err());
    }
}
