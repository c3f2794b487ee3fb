//! Certificates that sign messages of Amazon SNS: had from Amazon's host once, kept, and checked each time that they are used.
//!
//! Amazon's host gives the certificate alone, without the one that issued it. Those that issue are few and have not changed for
//! years; they lie beside this file, so that a chain can be built from the certificate to a public root without asking anybody. A
//! certificate of an issuer that is not among them is not trusted: `sns.certificate` is for that day.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, DnsName, InvalidSignature, ServerName, SignatureVerificationAlgorithm, TrustAnchor,
    UnixTime, alg_id,
};
use webpki::{EndEntityCert, KeyUsage};

use super::amazon_host;
use crate::model::{Millis, Time};

/// Amazon RSA 2048 M01 to M04, which issue what Amazon's services show. Public; a test checks them against the public roots.
const ISSUERS: &[u8] = include_bytes!("amazon-rsa-2048.pem");

/// Bytes of an answer: a certificate has about 2,000, a chain of four 8,000.
const ANSWER_BYTES_MAX: usize = 32 << 10;

/// Certificates in one answer.
const CHAIN_MAX: usize = 8;

/// Certificates that are kept. There is one for a region and half a year.
const KEPT_MAX: usize = 16;

/// Certificates that are asked for within a minute. A stranger who sends messages with addresses of his own making has Amazon's
/// host asked so often and no more.
const CALLS_PER_MINUTE: usize = 10;

/// What an answer to a call is in the end: its body, or in words why there is none.
pub type Calling<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send + 'a>>;

/// The way to Amazon's host.
pub trait Outgoing: Send + Sync {
    /// Gets an address, follows nothing, and gives the body of a good answer that has at most so many bytes. What it says of a
    /// failure holds nothing of the address but its host.
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> Calling<'a>;
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Refused {
    /// It is none of Amazon's, or not at this time.
    Untrusted(String),
    /// Nobody knows at this moment.
    Unknown(String),
}

/// How a message was digested before it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// Version 1 of SNS' signatures, still what a topic has unless somebody sets it. Its weakness is that two texts with one
    /// digest can be made by whoever makes both; a second one to a given text cannot.
    Sha1,
    Sha256,
}

/// A certificate that may sign.
#[derive(Debug)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    /// What came with it.
    issuers: Vec<CertificateDer<'static>>,
}

impl Certificate {
    /// Reads a certificate and those behind it.
    ///
    /// # Errors
    /// In words: a text that holds none, or too many.
    pub(super) fn read(pem: &[u8]) -> Result<Certificate, String> {
        let mut chain = read_all(pem)?;
        if chain.is_empty() || chain.len() > CHAIN_MAX {
            return Err(format!("has {} certificates in PEM, not 1 to {CHAIN_MAX}", chain.len()));
        }
        let der = chain.remove(0);
        EndEntityCert::try_from(&der).map_err(|error| format!("is no certificate: {error}"))?;
        Ok(Certificate { der, issuers: chain })
    }

    /// Whether a text was signed with its key.
    pub(super) fn has_signed(&self, digest: Digest, text: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn SignatureVerificationAlgorithm = match digest {
            Digest::Sha1 => &RsaSha1,
            Digest::Sha256 => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
        };
        EndEntityCert::try_from(&self.der).is_ok_and(|it| it.verify_signature(algorithm, text, signature).is_ok())
    }
}

/// Whom a certificate must lead to.
#[derive(Debug)]
pub(in crate::ingest) struct Trust {
    roots: Vec<TrustAnchor<'static>>,
    issuers: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The public roots, and Amazon's issuers between.
    pub(in crate::ingest) fn public() -> Trust {
        let issuers = read_all(ISSUERS).expect("the issuers are certificates, as a test shows");
        Trust { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(), issuers }
    }

    /// Roots and issuers of a test's own.
    #[cfg(test)]
    pub(in crate::ingest) fn of(roots: &[u8], issuers: &[u8]) -> Trust {
        let anchor = |root: &CertificateDer<'_>| webpki::anchor_from_trusted_cert(root).unwrap().to_owned();
        Trust { roots: read_all(roots).unwrap().iter().map(anchor).collect(), issuers: read_all(issuers).unwrap() }
    }

    /// Checks that a certificate that `host` gave is valid now, leads to a root, and is one for signing messages of that host.
    fn check(&self, certificate: &Certificate, host: &str, now: Time) -> Result<(), String> {
        let leaf = EndEntityCert::try_from(&certificate.der).map_err(|error| error.to_string())?;
        let issuers: Vec<CertificateDer<'_>> = self.issuers.iter().chain(&certificate.issuers).cloned().collect();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(u64::try_from(now.0).unwrap_or(0)));
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &self.roots, &issuers, now, KeyUsage::server_auth(), None, None)
            .map_err(|error| words(&error))?;
        let is_for = |name: &String| {
            let name = DnsName::try_from(name.as_str()).map(ServerName::DnsName);
            name.is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        };
        if names(host).iter().any(is_for) { Ok(()) } else { Err(format!("it is for another name than {host}'s")) }
    }
}

/// The names that Amazon's certificates for signing have: one for all older regions, and one for each later one, China and
/// the government's.
fn names(host: &str) -> Vec<String> {
    let (domain, china) = match host.strip_suffix(".cn") {
        Some(domain) => (domain, ".cn"),
        None => (host, ""),
    };
    let region = domain.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com")).unwrap_or_default();
    let signing = [format!("sns-signing.{region}.amazonaws.com{china}"), format!("sns-{region}.amazonaws.com{china}")];
    let common = (china.is_empty() && !region.starts_with("us-gov-")).then(|| "sns.amazonaws.com".to_owned());
    let government = region.starts_with("us-gov-").then(|| "sns-us-gov-west-1.amazonaws.com".to_owned());
    signing.into_iter().chain([host.to_owned()]).chain(common).chain(government).collect()
}

/// The certificates that messages have named.
pub(in crate::ingest) struct Certificates {
    outgoing: Arc<dyn Outgoing>,
    trust: Trust,
    known: Mutex<Known>,
    /// Held while asking: who waits for it would most likely ask for the same.
    calling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// By address, the oldest first. What an address gives never changes: its name is made from the certificate.
    certificates: VecDeque<(String, Arc<Certificate>)>,
    /// When the present minute began, and the calls in it.
    minute: Option<(Time, usize)>,
}

impl Certificates {
    pub(in crate::ingest) fn new(outgoing: Arc<dyn Outgoing>, trust: Trust) -> Certificates {
        Certificates { outgoing, trust, known: Mutex::default(), calling: tokio::sync::Mutex::default() }
    }

    /// The certificate at an address of Amazon's.
    ///
    /// # Errors
    /// Why it is not to be used.
    pub(super) async fn of(&self, url: &str, now: Time) -> Result<Arc<Certificate>, Refused> {
        let host = amazon_host(url).ok_or_else(|| Refused::Untrusted("it is not at Amazon's host".to_owned()))?;
        if let Some(certificate) = self.known().find(url) {
            return self.check(certificate, host, now);
        }
        let _calling = self.calling.lock().await;
        if let Some(certificate) = self.known().find(url) {
            return self.check(certificate, host, now);
        }
        self.known().may_call(now)?;
        let answer = self.outgoing.get(url, ANSWER_BYTES_MAX).await.map_err(Refused::Unknown)?;
        let certificate = Certificate::read(&answer).map_err(|why| Refused::Untrusted(format!("the answer {why}")))?;
        let certificate = self.check(Arc::new(certificate), host, now)?;
        self.known().keep(url, &certificate);
        Ok(certificate)
    }

    /// Gives a certificate back that is good at this time.
    fn check(&self, certificate: Arc<Certificate>, host: &str, now: Time) -> Result<Arc<Certificate>, Refused> {
        self.trust.check(&certificate, host, now).map_err(|why| {
            tracing::warn!(host, why, "a certificate that signs messages of SNS is not trusted");
            Refused::Untrusted(why)
        })?;
        Ok(certificate)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Confirms a subscription.
    ///
    /// # Errors
    /// Why that did not come about, in words.
    pub(in crate::ingest) async fn confirm(&self, url: &str) -> Result<(), String> {
        self.outgoing.get(url, ANSWER_BYTES_MAX).await.map(drop)
    }
}

impl Known {
    fn find(&self, url: &str) -> Option<Arc<Certificate>> {
        self.certificates.iter().find(|(address, _)| address == url).map(|(_, certificate)| certificate.clone())
    }

    fn keep(&mut self, url: &str, certificate: &Arc<Certificate>) {
        self.certificates.push_back((url.to_owned(), certificate.clone()));
        if self.certificates.len() > KEPT_MAX {
            self.certificates.pop_front();
        }
    }

    fn may_call(&mut self, now: Time) -> Result<(), Refused> {
        let (began, calls) =
            self.minute.filter(|(began, _)| now.since(*began).0.abs() < Millis::minutes(1).0).unwrap_or((now, 0));
        if calls >= CALLS_PER_MINUTE {
            return Err(Refused::Unknown("too many were asked for in this minute".to_owned()));
        }
        self.minute = Some((began, calls + 1));
        Ok(())
    }
}

/// Why a path does not lead to a root, for the reasons that are to be expected.
fn words(error: &webpki::Error) -> String {
    match error {
        webpki::Error::CertNotValidYet { .. } => "it is not valid yet".to_owned(),
        webpki::Error::CertExpired { .. } => "it has expired".to_owned(),
        webpki::Error::UnknownIssuer => "it leads to no public root".to_owned(),
        other => other.to_string(),
    }
}

fn read_all(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| format!("is no PEM: {error}"))
}

/// RSA with SHA-1, which nobody checks certificates by any more, and webpki has not.
#[derive(Debug)]
struct RsaSha1;

impl SignatureVerificationAlgorithm for RsaSha1 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        // sha1WithRSAEncryption (1.2.840.113549.1.1.5), without parameters.
        AlgorithmIdentifier::from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00])
    }

    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key =
            ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that Amazon's host gave in 2026, by the roots and issuers that are built in.
    #[test]
    fn amazons_own_certificate_is_trusted_for_its_region_and_time() {
        const PEM: &[u8] = include_bytes!("../../../tests/golden/sns/af-south-1-2026.pem");
        let certificate = Certificate::read(PEM).unwrap();
        let cases = [
            ("sns.af-south-1.amazonaws.com", "2026-11-01T00:00:00Z", ""),
            ("sns.af-south-1.amazonaws.com", "2026-07-01T00:00:00Z", "not valid"),
            ("sns.af-south-1.amazonaws.com", "2027-03-01T00:00:00Z", "expired"),
            ("sns.eu-west-1.amazonaws.com", "2026-11-01T00:00:00Z", "another name"),
            ("sns.af-south-1.amazonaws.com.cn", "2026-11-01T00:00:00Z", "another name"),
        ];
        let trust = Trust::public();
        for (host, now, words) in cases {
            let checked = trust.check(&certificate, host, Time::parse_rfc3339(now).unwrap());
            let is_as_expected = match &checked {
                Ok(()) => words.is_empty(),
                Err(why) => !words.is_empty() && why.to_lowercase().contains(words),
            };
            assert!(is_as_expected, "{host} at {now}: {checked:?}");
        }
        let nobody = Trust { roots: Trust::public().roots, issuers: Vec::new() };
        assert!(nobody.check(&certificate, cases[0].0, Time::parse_rfc3339(cases[0].1).unwrap()).is_err(), "without its issuer");
    }

    /// Whatever stands in the file: an issuer that no root has signed is of no use in a path, and does no harm in one.
    #[test]
    fn the_issuers_are_issuers_below_amazons_root() {
        let issuers = read_all(ISSUERS).unwrap();
        assert_eq!(issuers.len(), 4);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_hours(500_000));
        for issuer in &issuers {
            let issuer = EndEntityCert::try_from(issuer).unwrap();
            let is_of_amazon = issuer.issuer().windows(16).any(|part| part == b"Amazon Root CA 1");
            let as_leaf = issuer.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                webpki_roots::TLS_SERVER_ROOTS,
                &[],
                now,
                KeyUsage::server_auth(),
                None,
                None,
            );
            assert!(is_of_amazon && matches!(as_leaf, Err(webpki::Error::CaUsedAsEndEntity)), "{:?}", as_leaf.err());
        }
    }

    #[test]
    fn names_of_certificates_by_host() {
        let cases = [
            ("sns.eu-west-1.amazonaws.com", "sns.amazonaws.com", true),
            ("sns.eu-west-1.amazonaws.com", "sns-signing.eu-west-1.amazonaws.com", true),
            ("sns.eu-west-1.amazonaws.com", "sns-signing.af-south-1.amazonaws.com", false),
            ("sns.cn-north-1.amazonaws.com.cn", "sns-cn-north-1.amazonaws.com.cn", true),
            ("sns.cn-north-1.amazonaws.com.cn", "sns.amazonaws.com", false),
            ("sns.us-gov-east-1.amazonaws.com", "sns-us-gov-west-1.amazonaws.com", true),
            ("sns.us-gov-east-1.amazonaws.com", "sns.amazonaws.com", false),
        ];
        for (host, name, expected) in cases {
            assert_eq!(names(host).contains(&name.to_owned()), expected, "{host} {name}");
        }
    }
}
