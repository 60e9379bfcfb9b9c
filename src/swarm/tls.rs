//! TLS 1.3 between peers as libp2p specifies it, with the cipher first that this machine computes fastest.
//!
//! libp2p's own upgrade offers ChaCha20-Poly1305 first and has no switch for it; with AES in hardware, AES-GCM costs
//! a quarter of that. So the handshake is configured here: certificates are made and proved by `libp2p::tls`, and
//! what either end must check is checked as there. Knows: cipher order, who may be at the other end (one certificate,
//! signed by the key its peer id names). Does not know: which peer was meant (the swarm compares ids).

use std::io;
use std::iter;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::PeerId;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::Keypair;
use libp2p::tls::{self, certificate};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};

/// The name of this protocol in the negotiation.
const PROTOCOL: &str = "/tls/1.0.0";
/// What every libp2p node says by ALPN.
const ALPN: &[u8] = b"libp2p";

/// Why TLS cannot be set up for the node's key.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// No certificate could be made.
    #[error(transparent)]
    Certificate(#[from] certificate::GenError),
    /// The certificate or the ciphers were refused.
    #[error(transparent)]
    Refused(#[from] rustls::Error),
}

/// Why a channel was not secured.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// The handshake failed.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The other end showed no certificate that names a peer.
    #[error("the peer showed no certificate of its own")]
    NoCertificate,
    /// The certificate is not a peer's.
    #[error(transparent)]
    Certificate(#[from] certificate::ParseError),
}

/// Upgrades a connection to TLS 1.3 with mutual proof of the peers' keys.
#[derive(Clone)]
pub(super) struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Fresh certificates for the node's key, and the ciphers this machine is good at.
    pub(super) fn new(keypair: &Keypair) -> Result<Self, TlsSetupError> {
        Self::with_ciphers(keypair, has_aes_in_hardware())
    }

    fn with_ciphers(keypair: &Keypair, prefers_aes: bool) -> Result<Self, TlsSetupError> {
        let provider = Arc::new(provider(prefers_aes));
        let versions = &[&rustls::version::TLS13];
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::new(PeerVerifier))
            .with_cert_resolver(tls::make_server_config(keypair)?.cert_resolver);
        server.alpn_protocols = vec![ALPN.to_vec()];
        // Every connection proves the key anew; nothing is kept for a next one.
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier))
            .with_client_cert_resolver(tls::make_client_config(keypair, None)?.client_auth_cert_resolver);
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

impl UpgradeInfo for Tls {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once(PROTOCOL)
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Tls {
    type Output = (PeerId, TlsStream<C>);
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<Self::Output, TlsError>>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Self::Future {
        async move {
            let stream = TlsAcceptor::from(self.server).accept(socket).await.map_err(TlsError::Handshake)?;
            Ok((peer_of(stream.get_ref().1)?, stream.into()))
        }
        .boxed()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Tls {
    type Output = (PeerId, TlsStream<C>);
    type Error = TlsError;
    type Future = BoxFuture<'static, Result<Self::Output, TlsError>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        async move {
            // An address instead of a name: no name is sent, as the specification asks.
            let name = ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            let connecting = TlsConnector::from(self.client).connect(name, socket);
            let stream = connecting.await.map_err(TlsError::Handshake)?;
            Ok((peer_of(stream.get_ref().1)?, stream.into()))
        }
        .boxed()
    }
}

/// Who is at the other end of a finished handshake.
fn peer_of(state: &CommonState) -> Result<PeerId, TlsError> {
    match state.peer_certificates() {
        Some([one]) => Ok(certificate::parse(one)?.peer_id()),
        _ => Err(TlsError::NoCertificate),
    }
}

/// libp2p's three ciphers, the fastest here first. Key exchange stays as it comes: hybrid post-quantum first.
fn provider(prefers_aes: bool) -> CryptoProvider {
    let aes = [cipher_suite::TLS13_AES_256_GCM_SHA384, cipher_suite::TLS13_AES_128_GCM_SHA256];
    let chacha = cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = match prefers_aes {
        true => vec![aes[0], aes[1], chacha],
        false => vec![chacha, aes[0], aes[1]],
    };
    provider
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn has_aes_in_hardware() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes_in_hardware() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn has_aes_in_hardware() -> bool {
    false
}

/// Accepts exactly one certificate, self-signed, whose libp2p extension is signed by a peer's key; and only from
/// whoever holds the certificate's key.
#[derive(Debug)]
struct PeerVerifier;

impl PeerVerifier {
    fn check(end_entity: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        if !others.is_empty() {
            return Err(rustls::Error::General("a peer shows exactly one certificate".into()));
        }
        certificate::parse(end_entity)?;
        Ok(())
    }

    fn check_signature(
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        certificate::parse(shown)?.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    /// As libp2p's own, in its order.
    fn schemes() -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}

/// Only TLS 1.3 is configured; whoever asks about an older signature gets a refusal.
fn refused() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::Error::General("peers speak TLS 1.3 only".into()))
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Self::check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refused()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Self::check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        refused()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt};
    use libp2p::tcp::tokio::TcpStream;
    use rustls::CipherSuite;
    use rustls::client::ResolvesClientCert;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;

    use super::*;

    const KIB: usize = 1024;

    async fn exchange<C: AsyncRead + AsyncWrite + Unpin>(one: &mut TlsStream<C>, other: &mut TlsStream<C>) {
        let payload: Vec<u8> = (0..100 * KIB).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        let mut found = vec![0; payload.len()];
        let writing = async {
            one.write_all(&payload).await.unwrap();
            one.flush().await.unwrap();
        };
        futures::join!(writing, async { other.read_exact(&mut found).await.unwrap() });
        assert!(found == payload, "what was written is what was read");
    }

    /// Two ends of one connection; each must see the other's peer id. Gives the cipher they agreed upon.
    async fn meet<D, L>(dialler: (Keypair, D), listener: (Keypair, L)) -> CipherSuite
    where
        D: OutboundConnectionUpgrade<
                TcpStream,
                Output = (PeerId, TlsStream<TcpStream>),
                Error: std::fmt::Debug,
            >,
        D: UpgradeInfo<Info = &'static str>,
        L: InboundConnectionUpgrade<
                TcpStream,
                Output = (PeerId, TlsStream<TcpStream>),
                Error: std::fmt::Debug,
            >,
        L: UpgradeInfo<Info = &'static str>,
    {
        let (near, far) = connection().await;
        let (dialled, listened) = futures::join!(
            dialler.1.upgrade_outbound(near, PROTOCOL),
            listener.1.upgrade_inbound(far, PROTOCOL),
        );
        let ((far_id, mut near), (near_id, mut far)) = (dialled.unwrap(), listened.unwrap());
        assert_eq!(far_id, listener.0.public().to_peer_id());
        assert_eq!(near_id, dialler.0.public().to_peer_id());
        exchange(&mut near, &mut far).await;
        exchange(&mut far, &mut near).await;
        near.get_ref().1.negotiated_cipher_suite().unwrap().suite()
    }

    async fn connection() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let connecting = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = futures::join!(connecting, listener.accept());
        (TcpStream(near.unwrap()), TcpStream(far.unwrap().0))
    }

    fn ours(prefers_aes: bool) -> (Keypair, Tls) {
        let keypair = Keypair::generate_ed25519();
        let tls = Tls::with_ciphers(&keypair, prefers_aes).unwrap();
        (keypair, tls)
    }

    fn theirs() -> (Keypair, tls::Config) {
        let keypair = Keypair::generate_ed25519();
        let tls = tls::Config::new(&keypair).unwrap();
        (keypair, tls)
    }

    #[tokio::test]
    async fn whoever_dials_chooses_the_cipher_it_is_good_at() {
        assert_eq!(meet(ours(true), ours(false)).await, CipherSuite::TLS13_AES_256_GCM_SHA384);
        assert_eq!(meet(ours(false), ours(true)).await, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    }

    #[tokio::test]
    async fn it_meets_libp2ps_own_tls_from_either_side() {
        meet(ours(true), theirs()).await;
        meet(theirs(), ours(true)).await;
    }

    #[tokio::test]
    async fn the_key_exchange_is_hybrid_post_quantum() {
        let (_, tls) = ours(true);
        let first = tls.client.crypto_provider().kx_groups[0].name();
        assert_eq!(first, rustls::NamedGroup::X25519MLKEM768);
    }

    /// Shows whatever certificate it was given, with whatever key it was given.
    #[derive(Debug)]
    struct Forger(Arc<CertifiedKey>);

    impl ResolvesServerCert for Forger {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    impl ResolvesClientCert for Forger {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    /// Somebody who shows this certificate, signs with this key, and believes what we believe.
    fn showing(shown: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Tls {
        let provider = Arc::new(provider(true));
        let key = provider.key_provider.load_private_key(key).unwrap();
        let forger = Arc::new(Forger(Arc::new(CertifiedKey::new(vec![shown], key))));
        let versions = &[&rustls::version::TLS13];
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let client = ClientConfig::builder_with_provider(provider);
        let mut server = server
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(Arc::new(PeerVerifier))
            .with_cert_resolver(Arc::clone(&forger) as Arc<dyn ResolvesServerCert>);
        let mut client = client
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier))
            .with_client_cert_resolver(forger);
        (server.alpn_protocols, client.alpn_protocols) = (vec![ALPN.to_vec()], vec![ALPN.to_vec()]);
        Tls { server: Arc::new(server), client: Arc::new(client) }
    }

    /// Whether a dialler of ours, and a listener of ours, believe him.
    async fn believed(him: Tls) -> (Option<PeerId>, Option<PeerId>) {
        let (near, far) = connection().await;
        let (dialled, _) = futures::join!(
            ours(true).1.upgrade_outbound(near, PROTOCOL),
            him.clone().upgrade_inbound(far, PROTOCOL),
        );
        let (near, far) = connection().await;
        let (_, listened) = futures::join!(
            him.upgrade_outbound(near, PROTOCOL),
            ours(true).1.upgrade_inbound(far, PROTOCOL),
        );
        (dialled.ok().map(|(peer, _)| peer), listened.ok().map(|(peer, _)| peer))
    }

    #[tokio::test]
    async fn a_certificate_that_no_peer_signed_is_refused_at_either_end() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        assert_eq!(believed(showing(made.cert.der().clone(), key)).await, (None, None));
    }

    #[tokio::test]
    async fn a_peers_certificate_without_its_key_is_refused_at_either_end() {
        let victim = Keypair::generate_ed25519();
        let (shown, its_key) = certificate::generate(&victim).unwrap();
        let (_, other_key) = certificate::generate(&Keypair::generate_ed25519()).unwrap();
        let peer = Some(victim.public().to_peer_id());
        assert_eq!(
            believed(showing(shown.clone(), its_key)).await,
            (peer, peer),
            "whoever has it is the peer"
        );
        assert_eq!(believed(showing(shown, other_key)).await, (None, None));
    }
}
