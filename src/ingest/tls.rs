//! The port that speaks TLS, where the site has one: for senders that insist on it, and for those who show certificates of their
//! own. The other port goes on to speak none.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use webpki::EndEntityCert;

use crate::config::TlsConfig;

/// A bound port that speaks TLS.
pub struct TlsDoor {
    pub(super) listener: TcpListener,
    pub(super) acceptor: TlsAcceptor,
}

/// The names in the certificate that a client has shown, in lower case; none where it showed none. That the certificate is of an
/// authority that the site trusts was checked before.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientNames(pub(super) Arc<[String]>);

impl TlsDoor {
    /// Binds the port.
    ///
    /// # Errors
    /// In words: a certificate or key that is none, or that do not belong together; a port that is taken.
    pub async fn bind(config: &TlsConfig) -> Result<TlsDoor, String> {
        let acceptor = TlsAcceptor::from(Arc::new(server(config)?));
        let listener =
            TcpListener::bind(config.listen).await.map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
        Ok(TlsDoor { listener, acceptor })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn server(config: &TlsConfig) -> Result<ServerConfig, String> {
    let chain = certificates("tls.certificate", &config.certificate)?;
    // What is wrong with a key is said without the key.
    let key = PrivateKeyDer::from_pem_slice(config.key.expose().as_bytes()).map_err(|_| "`tls.key` is no private key in PEM")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates("tls.client_ca", pem)? {
                roots.add(authority).map_err(|error| format!("`tls.client_ca`: {error}"))?;
            }
            // Who shows none may be a sender that proves itself otherwise; that is for its source to say.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|error| format!("`tls.client_ca`: {error}"))?)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| format!("`tls.certificate`: {error}"))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

fn certificates(key: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("`{key}` has no certificate in PEM")),
        Err(error) => Err(format!("`{key}` is no PEM: {error}")),
    }
}

/// The names of whoever is at the other end.
pub(super) fn client_names(stream: &TlsStream<TcpStream>) -> ClientNames {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = shown.and_then(|certificate| EndEntityCert::try_from(certificate).ok());
    ClientNames(certificate.iter().flat_map(|it| it.valid_dns_names()).map(str::to_lowercase).collect())
}
