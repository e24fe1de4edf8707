//! Where an address leads: to this machine, to a private network, or out.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// Whether an address names this machine or a private network, where Flux expects registries
/// without TLS.
pub(super) fn is_local(url: &Url) -> bool {
    let is_local_v4 = |ip: Ipv4Addr| ip.is_loopback() || ip.is_private();
    match url.host() {
        Some(Host::Ipv4(ip)) => is_local_v4(ip),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(is_local_v4),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_local_addresses() {
        let url = |host: &str| Url::parse(&format!("https://{host}/")).expect("a url");
        let check = |host: &str, local: bool| assert_eq!(is_local(&url(host)), local, "{host}");
        check("localhost:5000", true);
        check("registry.localhost", true);
        check("127.0.0.1:5000", true);
        check("0x7f.1", true);
        check("10.1.2.3", true);
        check("172.16.0.1", true);
        check("172.32.0.1", false);
        check("192.168.0.1", true);
        check("[::1]:5000", true);
        check("[::ffff:127.0.0.1]", true);
        check("127.0.0.1.evil.test", false);
        check("localhost.evil.test", false);
        check("ghcr.io", false);
        check("169.254.169.254", false);
    }
}
