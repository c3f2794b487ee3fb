//! The port that speaks TLS, and what senders show there: certificates of the right authority and name, of others, and none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::daemon::{Daemon, PATIENCE, Site};

const BODY: &str = r#"{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}"#;

fn folder() -> String {
    format!("{}/tests/golden/tls", env!("CARGO_MANIFEST_DIR"))
}

fn site() -> Site {
    let folder = folder();
    Site::new(
        &format!(
            r"
tls:
  listen: 127.0.0.1:0
  certificate: {{ file: {folder}/server.pem }}
  key: {{ file: {folder}/server.key }}
  client_ca: {{ file: {folder}/clients.pem }}
sources:
  - {{ name: shown, format: alertmanager, client_certificate: [App.Netdata.Cloud] }}
  - {{ name: both, format: alertmanager, client_certificate: [app.netdata.cloud, x.example], token: t }}
  - {{ name: token, format: alertmanager, token: t }}
"
        ),
        &[],
    )
}

/// Where it speaks TLS, as its log says.
fn address(daemon: &Daemon) -> SocketAddr {
    let log = daemon.stderr();
    let rest = log.split_once("listening with TLS on ").unwrap().1;
    rest.split(|c: char| c.is_whitespace()).next().unwrap().parse().unwrap()
}

/// The status of a POST by a client that shows one of the folder's certificates, or none; `None` where there is no answer.
fn post(daemon: &Daemon, certificate: Option<&str>, path: &str) -> Option<u16> {
    let read = |name: &str| std::fs::read(format!("{}/{name}", folder())).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("servers.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_slice(&read(&format!("{name}.pem"))).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&read(&format!("{name}.key"))).unwrap()).unwrap()
        }
    };
    let stream = TcpStream::connect(address(daemon)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut tls = StreamOwned::new(session, stream);
    let length = BODY.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{BODY}"
    );
    // A certificate that is not trusted shows when the answer is read, or before.
    tls.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    drop(tls.read_to_end(&mut answer));
    let head = String::from_utf8_lossy(&answer).into_owned();
    head.split(' ').nth(1)?.parse().ok()
}

#[test]
fn a_source_may_ask_for_a_certificate() {
    let site = site();
    let mut daemon = site.start();
    let cases = [
        (None, "/v1/ingest/shown", Some(401)),
        (None, "/v1/ingest/token/t", Some(200)),
        (None, "/v1/ingest/both/t", Some(401)),
        (Some("sender"), "/v1/ingest/shown", Some(200)),
        (Some("sender"), "/v1/ingest/both", Some(401)),
        (Some("sender"), "/v1/ingest/both/t", Some(200)),
        (Some("sender"), "/v1/ingest/token", Some(401)),
        // Of the same authority, with another name.
        (Some("other"), "/v1/ingest/shown", Some(401)),
        (Some("other"), "/v1/ingest/token/t", Some(200)),
        // The right name, of another authority.
        (Some("stranger"), "/v1/ingest/shown", None),
        (Some("stranger"), "/v1/ingest/token/t", None),
    ];
    for (certificate, path, expected) in cases {
        assert_eq!(post(&daemon, certificate, path), expected, "{certificate:?} {path}");
    }
    // By the other port nobody can show any.
    let json = [("content-type", "application/json")];
    assert_eq!(daemon.request("POST", "/v1/ingest/shown", &json, BODY.as_bytes()).status, 401);
    let refused = daemon.metric("quell_requests_rejected_total", &["reason=\"client_certificate\""]);
    assert!((refused - 4.0).abs() < 0.1, "{refused}");

    // What is no TLS is no request.
    let mut plain = TcpStream::connect(address(&daemon)).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET /-/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));

    // Who has not said a word yet does not keep it from ending.
    let _silent = TcpStream::connect(address(&daemon)).unwrap();
    daemon.signal("TERM");
    assert!(daemon.wait_for_exit(Duration::from_secs(10)).success());
}

#[test]
fn a_port_that_cannot_speak_tls_is_refused_and_shows_no_key() {
    let folder = folder();
    let tls = |certificate: &str, key: &str, rest: &str| {
        format!(
            "tls: {{ listen: 127.0.0.1:0, certificate: {{ file: {folder}/{certificate} }}, key: {{ file: {folder}/{key} }}{rest} }}\n"
        )
    };
    let cases = [
        (tls("make.sh", "server.key", ""), "`tls.certificate` has no certificate in PEM"),
        (tls("server.pem", "make.sh", ""), "`tls.key` is no private key in PEM"),
        (tls("server.pem", "sender.key", ""), "`tls.certificate`: "),
        (
            tls("server.pem", "server.key", &format!(", client_ca: {{ file: {folder}/make.sh }}")),
            "`tls.client_ca` has no certificate",
        ),
        (
            tls("server.pem", "server.key", "") + "sources: [{ name: a, format: netdata, client_certificate: [b.example] }]\n",
            "the source `a` asks for a `client_certificate`, and nobody can show one",
        ),
    ];
    let key = std::fs::read_to_string(format!("{folder}/server.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for (config, expected) in cases {
        let (status, stderr) = Site::new(&config, &[]).start_refused();
        assert!(!status.success() && stderr.contains(expected) && !stderr.contains(secret), "{config}: {stderr}");
    }
}
