//! HTTP proxies named by the environment.
//!
//! Knows: which proxy, if any, a URL goes through. Does not know: sockets (`connect`).

use std::net::IpAddr;

use http::HeaderValue;
use url::{Host, Url};

use super::base64;

/// Proxies as they were named, not yet checked.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// For `http` URLs: `http://[user:password@]host[:port]`; the scheme may be left out.
    pub http: Option<String>,
    /// For `https` URLs; the tunnel is opened with CONNECT.
    pub https: Option<String>,
    /// Hosts asked directly, separated by commas: names (with all below them), addresses, networks such as
    /// `10.0.0.0/8`, each with an optional port; `*` for all. Loopback is always asked directly.
    pub bypass: Option<String>,
}

impl std::fmt::Debug for ProxySettings {
    /// Addresses of proxies may hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxySettings")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("bypass", &self.bypass)
            .finish()
    }
}

impl ProxySettings {
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say; capitals count too, except for `HTTP_PROXY`,
    /// which a web server may set for strangers.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first =
            |names: &[&str]| names.iter().find_map(|name| lookup(name).filter(|value| !value.is_empty()));
        Self {
            http: first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            bypass: first(&["no_proxy", "NO_PROXY"]),
        }
    }
}

/// A proxy that cannot be used as it was named.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProxyError {
    /// Only plain HTTP proxies are spoken to.
    #[error("a proxy of scheme {scheme:?} is not supported; use http://host:port")]
    Scheme {
        /// The scheme that was named.
        scheme: String,
    },
    /// No host and port could be read.
    #[error("the address of the proxy cannot be read; use http://host:port")]
    Malformed,
}

/// The checked settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    bypass: Vec<Bypass>,
}

/// One HTTP proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// `Basic …`, marked as sensitive.
    pub(super) authorization: Option<HeaderValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Bypass {
    All,
    Name { name: String, port: Option<u16> },
    Network { base: IpAddr, prefix: u8, port: Option<u16> },
}

impl Proxies {
    pub(super) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let parse = |text: &Option<String>| text.as_deref().map(Proxy::parse).transpose();
        let bypass = settings.bypass.as_deref().unwrap_or_default();
        Ok(Self {
            http: parse(&settings.http)?,
            https: parse(&settings.https)?,
            bypass: bypass
                .split([',', ' '])
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(Bypass::parse)
                .collect(),
        })
    }

    /// The proxy this URL goes through.
    pub(super) fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = url.host()?;
        let port = url.port_or_known_default();
        let is_own = match &host {
            Host::Domain(name) => is_loopback_name(name),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.to_canonical().is_loopback(),
        };
        (!is_own && !self.bypass.iter().any(|bypass| bypass.covers(&host, port))).then_some(proxy)
    }
}

impl Proxy {
    fn parse(text: &str) -> Result<Self, ProxyError> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|_| ProxyError::Malformed)?;
        if url.scheme() != "http" {
            return Err(ProxyError::Scheme { scheme: url.scheme().to_owned() });
        }
        let host = url.host().ok_or(ProxyError::Malformed)?.to_owned();
        let port = url.port_or_known_default().ok_or(ProxyError::Malformed)?;
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| {
            let user = percent_decoded(url.username());
            let word = percent_decoded(url.password().unwrap_or_default());
            let pair = [user, b":".to_vec(), word].concat();
            let mut value = HeaderValue::try_from(format!("Basic {}", base64::encode(&pair))).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Ok(Self { host, port, authorization: authorization.flatten() })
    }
}

impl Bypass {
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        if let Some((base, prefix)) = text.split_once('/')
            && let (Ok(base), Ok(prefix)) = (base.parse::<IpAddr>(), prefix.parse())
        {
            return Self::Network { base, prefix, port: None };
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => match digits.parse() {
                Ok(port) => (name, Some(port)),
                Err(_) => (text, None),
            },
            _ => (text, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        match name.parse::<IpAddr>() {
            Ok(base) => Self::Network { base, prefix: if base.is_ipv4() { 32 } else { 128 }, port },
            Err(_) => {
                let name = name.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
                Self::Name { name, port }
            }
        }
    }

    fn covers(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let same_port = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name { name, port: wanted }, Host::Domain(host)) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let is_below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                !name.is_empty() && is_below && same_port(wanted)
            }
            (Self::Network { base, prefix, port: wanted }, Host::Ipv4(address)) => {
                in_network(IpAddr::V4(*address), *base, *prefix) && same_port(wanted)
            }
            (Self::Network { base, prefix, port: wanted }, Host::Ipv6(address)) => {
                in_network(address.to_canonical(), *base, *prefix) && same_port(wanted)
            }
            (Self::Name { .. }, _) | (Self::Network { .. }, Host::Domain(_)) => false,
        }
    }
}

/// Whether a name is this machine whatever a resolver says.
pub(super) fn is_loopback_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn in_network(address: IpAddr, base: IpAddr, prefix: u8) -> bool {
    let (address, base, width) = match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            (u128::from(u32::from(address)), u128::from(u32::from(base)), 32_u32)
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => (u128::from(address), u128::from(base), 128),
        _ => return false,
    };
    let ignored = width.saturating_sub(u32::from(prefix));
    address.checked_shr(ignored).unwrap_or(0) == base.checked_shr(ignored).unwrap_or(0)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(index) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..index]);
        let escaped = rest.get(index + 1..index + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[index + 3..];
            }
            None => {
                bytes.push(b'%');
                rest = &rest[index + 1..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(bypass: &str) -> Proxies {
        let named = Some("proxy.example:3128".to_owned());
        Proxies::new(&ProxySettings { http: named.clone(), https: named, bypass: Some(bypass.into()) })
            .unwrap()
    }

    fn is_direct(proxies: &Proxies, url: &str) -> bool {
        proxies.of(&Url::parse(url).unwrap()).is_none()
    }

    #[test]
    fn the_environment_names_a_proxy_per_scheme() {
        let env = |name: &str| match name {
            "HTTP_PROXY" => Some("http://from-a-stranger".to_owned()),
            "ALL_PROXY" => Some("http://all.example".to_owned()),
            "https_proxy" => Some("http://u%40x:p@tls.example:81".to_owned()),
            _ => None,
        };
        let proxies = Proxies::new(&ProxySettings::from_lookup(env)).unwrap();
        let http = proxies.of(&Url::parse("http://a.example/").unwrap()).unwrap();
        assert_eq!((http.host.to_string().as_str(), http.port), ("all.example", 80));
        let https = proxies.of(&Url::parse("https://a.example/").unwrap()).unwrap();
        assert_eq!((https.host.to_string().as_str(), https.port), ("tls.example", 81));
        assert_eq!(https.authorization.as_ref().unwrap(), &format!("Basic {}", base64::encode(b"u@x:p")));
        assert!(!format!("{https:?}").contains(&base64::encode(b"u@x:p")));
    }

    #[test]
    fn hosts_on_the_bypass_list_and_loopback_are_asked_directly() {
        let list = proxies("example.org, .inner.net,*.wild.net,10.0.0.0/8,[2001:db8::5]:8080,other.net:81");
        for url in [
            "http://example.org/",
            "https://a.example.org./",
            "http://inner.net",
            "http://x.inner.net",
            "http://x.wild.net",
            "http://10.255.0.1",
            "http://[2001:db8::5]:8080/",
            "http://other.net:81",
            "http://localhost:9",
            "http://127.0.0.9",
            "http://[::1]:80",
        ] {
            assert!(is_direct(&list, url), "{url}");
        }
        for url in ["http://badexample.org", "http://11.0.0.1", "http://[2001:db8::5]/", "http://other.net"] {
            assert!(!is_direct(&list, url), "{url}");
        }
        assert!(is_direct(&proxies("*"), "https://anything.example"));
        assert!(!is_direct(&proxies(""), "https://anything.example"));
    }

    #[test]
    fn other_kinds_of_proxy_are_refused_in_words() {
        for text in ["socks5://p:1080", "https://p", "http://", "http://a b"] {
            let settings = ProxySettings { http: Some(text.into()), ..ProxySettings::default() };
            assert!(Proxies::new(&settings).is_err(), "{text}");
        }
    }
}
