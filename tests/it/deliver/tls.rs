//! Certificates are checked: a server that nobody vouches for hears nothing, over HTTPS and over SMTP.

use std::io::Read as _;
use std::sync::Mutex;

use quell::config::{EmailConfig, SmtpTls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::fakes::listener::Listener;

/// Signed by itself, for `localhost` and 127.0.0.1, for a hundred years. The key protects nothing.
const CERTIFICATE: &[u8] = b"\
-----BEGIN CERTIFICATE-----\n\
MIIBnDCCAUGgAwIBAgIUagAZiedHp4Jekk/u2w5Ws9hzthUwCgYIKoZIzj0EAwIw\n\
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjA2MTMwNVoYDzIxMjYxMDI5\n\
MDYxMzA1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n\
PQMBBwNCAASD/5CTU77Tj7ce/bhZcoQ7+1UzKhdnnmeW8n6I/B2af1IALfeU/w4L\n\
bJt+0JTeCtDCvGtamprCvB07c/8zJPf5o28wbTAdBgNVHQ4EFgQUcSadrCS0jvRj\n\
189uHvFN2Q0kWmgwHwYDVR0jBBgwFoAUcSadrCS0jvRj189uHvFN2Q0kWmgwDwYD\n\
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI\n\
zj0EAwIDSQAwRgIhALyXM/RoRApNM3AEPqIZkipm4WW1JP0GG4TfWx4tEbY1AiEA\n\
isgAG4kfx52FYfpCGHcuK7ya/nrvM7pwSyqbnOkMrA8=\n\
-----END CERTIFICATE-----\n\
";
const KEY: &[u8] = b"\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgB60elHFvX1pk7C8D\n\
6057zkD8HZdtqZKWuZkwkbn9KH2hRANCAASD/5CTU77Tj7ce/bhZcoQ7+1UzKhdn\n\
nmeW8n6I/B2af1IALfeU/w4LbJt+0JTeCtDCvGtamprCvB07c/8zJPf5\n\
-----END PRIVATE KEY-----\n\
";

/// A server that speaks TLS from the first byte, and what it heard inside.
fn start() -> (Listener, Arc<Mutex<Vec<u8>>>) {
    install_crypto();
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let (config, heard) = (Arc::new(config), Arc::new(Mutex::new(vec![])));
    let hearing = heard.clone();
    let listener = Listener::start(move |stream, _| {
        let session = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut tls = rustls::StreamOwned::new(session, stream);
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = tls.read(&mut buffer) {
            hearing.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
    });
    (listener, heard)
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_the_call() {
    let (listener, heard) = start();
    let port = listener.address().port();
    let url = format!("https://localhost:{port}/");
    let mail = EmailConfig {
        host: "localhost".into(),
        port,
        tls: SmtpTls::Implicit,
        user: Some("quell".into()),
        password: Some(Secret::new(PASSWORD)),
        from: "quell@alerts.example".into(),
        to: vec!["a@example.org".into()],
    };
    let kinds = [
        pagerduty_kind(url.clone()),
        webhook_kind(url.clone()),
        alertmanager_kind(url.clone()),
        servicenow_kind(url),
        ReceiverKind::Email(mail),
    ];
    for kind in kinds {
        let delivery = receiver(kind, &context(Millis::seconds(30))).deliver(&message(NotificationKind::Trigger, 1)).await;
        assert_eq!(fault_of(&delivery), Some((true, Fault::Network)), "{delivery:?}");
        assert!(error_of(&delivery).contains("invalid peer certificate"), "{delivery:?}");
    }
    assert_eq!(heard.lock().unwrap().len(), 0);
}
