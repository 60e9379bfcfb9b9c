//! Whom we believe on https: the system's roots and, if configured, one more file of them.
//!
//! Knows: root certificates and which one a chain ended in, protocol versions, ALPN, what a handshake that failed means. Does not know: which host is
//! asked.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::{AlertDescription, ClientConfig, Error, InvalidMessage, RootCertStore};
use tokio::sync::OnceCell;

use super::OriginConfigError;
use super::connect::one_line;
use super::error::Fault;

/// Builds the TLS settings once, when the first https origin is asked: reading the system's roots takes a while.
#[derive(Debug)]
pub(super) struct Trust {
    extra: Vec<CertificateDer<'static>>,
    built: OnceCell<Settings>,
}

/// What every https connection is made with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) client: Arc<ClientConfig>,
    anchors: Arc<Vec<(TrustAnchor<'static>, Anchor)>>,
}

/// The root certificate a chain ended in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// Names it: a hash of its subject and its public key (ATTEST-14).
    pub fingerprint: [u8; 32],
    /// Whether it is not one of the system's, but was configured.
    pub is_extra: bool,
}

impl Trust {
    /// Reads the extra file of roots (PEM).
    pub(super) fn new(extra_ca: Option<&Path>) -> Result<Self, OriginConfigError> {
        let extra = match extra_ca {
            None => Vec::new(),
            Some(path) => {
                let fail = |reason: String| OriginConfigError::ExtraCa { path: path.to_owned(), reason };
                let found = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|source| fail(source.to_string()))?;
                if found.is_empty() {
                    return Err(fail("no certificate in it".into()));
                }
                let mut store = RootCertStore::empty();
                for certificate in &found {
                    store.add(certificate.clone()).map_err(|source| fail(source.to_string()))?;
                }
                found
            }
        };
        Ok(Self { extra, built: OnceCell::new() })
    }

    /// The settings for every https connection.
    pub(super) async fn settings(&self) -> Settings {
        let build = || async {
            let system = tokio::task::spawn_blocking(|| rustls_native_certs::load_native_certs().certs).await;
            let mut roots = RootCertStore::empty();
            // Systems carry certificates that cannot be parsed; the others still count.
            roots.add_parsable_certificates(system.unwrap_or_default());
            let of_the_system = roots.len();
            roots.add_parsable_certificates(self.extra.iter().cloned());
            if roots.is_empty() {
                tracing::warn!(
                    "no trusted root certificates found on this system: https origins will be refused"
                );
            }
            let named = roots.roots.iter().enumerate();
            let anchors = named.map(|(at, root)| (root.clone(), Anchor::of(root, at >= of_the_system)));
            Settings { anchors: Arc::new(anchors.collect()), client: Arc::new(settings(roots)) }
        };
        self.built.get_or_init(build).await.clone()
    }
}

impl Settings {
    /// The root that a chain ended in, once it was verified. Of roots with one name, one that was configured.
    pub(super) fn anchor(&self, chain: &[CertificateDer<'_>]) -> Option<Anchor> {
        let parsed: Vec<webpki::EndEntityCert<'_>> = chain
            .iter()
            .filter_map(|certificate| webpki::EndEntityCert::try_from(certificate).ok())
            .collect();
        // From issuer to issuer, beginning with the host's own: whatever else was sent along says nothing.
        let mut issuer = parsed.first()?.issuer();
        for _ in 0..=parsed.len() {
            let is_its = |(root, _): &&(TrustAnchor<'_>, Anchor)| root.subject.as_ref() == issuer;
            let known = self.anchors.iter().filter(is_its).max_by_key(|(_, anchor)| anchor.is_extra);
            if let Some((_, anchor)) = known {
                return Some(*anchor);
            }
            issuer = parsed.iter().find(|certificate| certificate.subject() == issuer)?.issuer();
        }
        None
    }
}

impl Anchor {
    fn of(root: &TrustAnchor<'_>, is_extra: bool) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("nearbits anchor 1");
        hasher.update(&root.subject).update(&root.subject_public_key_info);
        Self { fingerprint: *hasher.finalize().as_bytes(), is_extra }
    }
}

/// TLS came where plain HTTP was spoken.
#[derive(Debug, thiserror::Error)]
#[error("the other side speaks TLS")]
pub(super) struct SpeaksTls;

/// Whether bytes begin like a record of TLS: no answer of HTTP does.
pub(super) fn is_a_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17, 3, ..])
}

/// What a handshake that failed means.
pub(super) fn fault(error: &io::Error) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(reason)) => {
            Fault::Certificate { reason: one_line(&reason.to_string()) }
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Fault::NotTls,
        Some(other) => Fault::Tls { reason: one_line(&other.to_string()), hopeless: is_hopeless(other) },
        None => Fault::Unreachable { reason: one_line(&format!("during the TLS handshake: {error}")) },
    }
}

/// Whether both sides will never agree as they are.
const fn is_hopeless(error: &Error) -> bool {
    use AlertDescription as Alert;
    match error {
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => true,
        Error::AlertReceived(alert) => matches!(
            alert,
            Alert::HandshakeFailure
                | Alert::ProtocolVersion
                | Alert::InsufficientSecurity
                | Alert::UnrecognisedName
                | Alert::CertificateRequired
                | Alert::NoApplicationProtocol
        ),
        _ => false,
    }
}

fn settings(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
