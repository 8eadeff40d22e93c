//! The proxy that the environment names for an endpoint, as other HTTP clients understand it.
//!
//! `https_proxy` or `http_proxy`, after the scheme of the endpoint, else `all_proxy` name a proxy;
//! `no_proxy` the hosts that are reached without it. Each is known in capitals too, but for
//! `HTTP_PROXY`, which a web server's child may have from a client. The proxy itself is spoken to
//! over plain HTTP.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// A proxy over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

impl Proxy {
    /// The proxy for an endpoint.
    ///
    /// # Errors
    /// What is wrong with the variable that names it.
    pub fn of(
        endpoint: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, String> {
        let host = bare(endpoint.host_str().unwrap_or_default());
        let local = host == "localhost" || host.ends_with(".localhost");
        if local || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            return Ok(None);
        }
        let set = |name: &'static str| {
            let value = variable(name).filter(|value| !value.trim().is_empty());
            value.map(|value| (name, value))
        };
        let none = set("no_proxy").or_else(|| set("NO_PROXY"));
        if none.is_some_and(|(_, list)| excepted(host, &list)) {
            return Ok(None);
        }
        let by_scheme = match endpoint.scheme() {
            "https" => set("https_proxy").or_else(|| set("HTTPS_PROXY")),
            _ => set("http_proxy").or_else(|| {
                let server = set("REQUEST_METHOD").is_some();
                (!server).then(|| set("HTTP_PROXY")).flatten()
            }),
        };
        let named = by_scheme.or_else(|| set("all_proxy").or_else(|| set("ALL_PROXY")));
        let Some((name, value)) = named else {
            return Ok(None);
        };
        // The value may hold a password, so it is not repeated.
        parse(&value).map(Some).ok_or_else(|| {
            format!("{name} names no proxy over HTTP: write it as http://HOST:PORT, or unset it")
        })
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn parse(value: &str) -> Option<Proxy> {
    let value = value.trim();
    let text = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    let url = Url::parse(&text).ok()?;
    if url.scheme() != "http" {
        return None;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
        let mut who = decoded(url.username());
        who.push(b':');
        who.extend(decoded(url.password().unwrap_or_default()));
        format!("Basic {}", base64(&who))
    });
    Some(Proxy {
        host: bare(url.host_str()?).to_owned(),
        port: url.port_or_known_default()?,
        authorization,
    })
}

/// Whether a list of hosts, domains, addresses and networks has a host.
fn excepted(host: &str, list: &str) -> bool {
    let ip: Option<IpAddr> = host.parse().ok();
    list.split(',').map(str::trim).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some(ip) = ip {
            return in_network(ip, entry);
        }
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        let below = || {
            let rest = host.len().checked_sub(domain.len() + 1);
            rest.is_some_and(|at| {
                let (_, end) = host.split_at(at);
                end.starts_with('.') && end[1..].eq_ignore_ascii_case(domain)
            })
        };
        !domain.is_empty() && (host.eq_ignore_ascii_case(domain) || below())
    })
}

fn in_network(ip: IpAddr, entry: &str) -> bool {
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, bits.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    let shift = |width: u32| bits.map(|bits| width.saturating_sub(bits));
    match (ip, bare(address).parse::<IpAddr>()) {
        (IpAddr::V4(ip), Ok(IpAddr::V4(net))) => shift(32).is_some_and(|by| {
            ip.to_bits().checked_shr(by).unwrap_or(0) == net.to_bits().checked_shr(by).unwrap_or(0)
        }),
        (IpAddr::V6(ip), Ok(IpAddr::V6(net))) => shift(128).is_some_and(|by| {
            ip.to_bits().checked_shr(by).unwrap_or(0) == net.to_bits().checked_shr(by).unwrap_or(0)
        }),
        _ => false,
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(endpoint: &str, variables: &[(&str, &str)]) -> Result<Option<Proxy>, String> {
        Proxy::of(&Url::parse(endpoint).unwrap(), |name| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p")];
        assert_eq!(of("https://h.example", &both).unwrap().unwrap().host, "s");
        let plain = of("http://h.example", &both).unwrap().unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("p", 80));
        let all = [("ALL_PROXY", "http://u%40:p@a:3128")];
        let proxy = of("http://h.example", &all).unwrap().unwrap();
        assert_eq!(proxy.authorization.as_deref(), Some("Basic dUA6cA=="));
        assert_eq!(of("http://127.0.0.1:9", &all).unwrap(), None);
        assert_eq!(of("http://[::1]:9", &all).unwrap(), None);
        let error = of("https://h", &[("https_proxy", "socks5://u:geheim@a:1")]).unwrap_err();
        assert!(error.contains("https_proxy") && !error.contains("geheim"));
    }

    #[test]
    fn exceptions_are_hosts_domains_and_networks() {
        let without = |endpoint: &str, list: &str| {
            let variables = [("all_proxy", "http://a:1"), ("NO_PROXY", list)];
            of(endpoint, &variables).unwrap().is_none()
        };
        assert!(without("http://s3.local", "x, .local"));
        assert!(without("http://s3.local", "s3.LOCAL") && without("http://x", "*"));
        assert!(!without("http://s3.local", "3.local,,") && !without("http://local", "s3.local"));
        assert!(
            without("http://10.1.2.3", "10.0.0.0/8") && without("http://10.1.2.3", "0.0.0.0/0")
        );
        assert!(
            without("http://10.1.2.3", "10.1.2.3") && !without("http://10.1.2.3", "11.0.0.0/8")
        );
        assert!(
            without("http://[fd00::1]", "fd00::/8") && !without("http://[fe00::1]", "fd00::/8")
        );
    }

    #[test]
    fn base64_of_any_length() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
