//! Which addresses may be connected to: a tenant's settings, and a stranger's answers, must not lead
//! into the network that tagwright runs in.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::secret::Authority;

/// Which addresses may be connected to.
///
/// Names are looked at after they were resolved, and the address that was looked at is the one that
/// is connected to: a name that answers differently the second time gains nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// All of them: the user who runs tagwright names them.
    #[default]
    Any,
    /// Those of the public internet, and the hosts that the operator lists.
    Public {
        /// Hosts, with their ports, that may be internal.
        except: BTreeSet<Authority>,
    },
}

/// A name leads to an internal address.
#[derive(Debug, thiserror::Error)]
#[error("it leads to this machine or to a private network")]
pub(super) struct InternalAddress;

impl Addresses {
    /// Whether `url` may be connected to, as far as that can be told before its name is resolved.
    pub(super) fn permit(&self, url: &Url) -> bool {
        self.trusts(url) || !is_internal(url)
    }

    /// Whether the name in `url` needs no look at what it resolves to.
    pub(super) fn trusts(&self, url: &Url) -> bool {
        match self {
            Self::Any => true,
            Self::Public { except } => Authority::of(url).is_some_and(|it| except.contains(&it)),
        }
    }
}

/// Resolves names, and refuses those of which any address is internal.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicNames;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            if found.iter().any(|address| is_internal_ip(address.ip())) {
                return Err(InternalAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one that a stranger's answer must not lead us to, by its text alone.
pub(crate) fn is_internal(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => is_internal_v4(ip),
        Some(Host::Ipv6(ip)) => is_internal_v6(ip),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        None => true,
    }
}

fn is_internal_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_internal_v4(ip),
        IpAddr::V6(ip) => is_internal_v6(ip),
    }
}

/// Loopback, private, shared, link-local (the metadata services of the clouds), documentation,
/// benchmarks, multicast and what is reserved.
fn is_internal_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || matches!((a, b, c), (0 | 240.., ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _))
        // Azure answers its machines here; it is no address of the public internet.
        || ip == Ipv4Addr::new(168, 63, 129, 16)
}

fn is_internal_v6(ip: Ipv6Addr) -> bool {
    let inner = |high: u16, low: u16| {
        is_internal_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
    };
    // Addresses that a gateway turns into IPv4: compatible, NAT64 and 6to4.
    let is_turned = match ip.segments() {
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => inner(high, low),
        _ => false,
    };
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || ip.to_ipv4_mapped().is_some_and(is_internal_v4)
        || is_turned
}

impl fmt::Display for Addresses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Any => "any address",
            Self::Public { .. } => "public addresses",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        Url::parse(&format!("https://{host}/")).expect("a url")
    }

    #[test]
    fn r03_internal_addresses_are_known_in_every_spelling() {
        let check = |host: &str, internal: bool| {
            assert_eq!(is_internal(&url(host)), internal, "{host}");
        };
        for host in [
            "127.0.0.1:5000",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "127.1",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.192",
            "[::1]",
            "[::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::7f00:1]",
            "[64:ff9b::a00:1]",
            "[2002:7f00:1::]",
        ] {
            check(host, true);
        }
        for host in [
            "ghcr.io",
            "127.0.0.1.evil.test",
            "localhost.evil.test",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "[2606:4700::1]",
            "[64:ff9b::808:808]",
            "[::ffff:8.8.8.8]",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn an_operator_may_except_a_host_with_its_port() {
        let except = ["harbor.corp:8443".parse().expect("an authority")];
        let rule = Addresses::Public {
            except: except.into_iter().collect(),
        };
        assert!(rule.trusts(&url("harbor.corp:8443")));
        assert!(!rule.trusts(&url("harbor.corp")));
        assert!(!rule.permit(&url("10.0.0.1")));
        assert!(rule.permit(&url("ghcr.io")));
        assert!(Addresses::Any.permit(&url("10.0.0.1")));
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to() {
        let name = "localhost".parse().expect("a name");
        let error = PublicNames.resolve(name).await.err();
        assert!(error.is_some_and(|it| it.is::<InternalAddress>()));
    }
}
