//! Mail: what stands in it, each recipient by itself, and a real mail server that must understand it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use quell::config::{EmailConfig, SmtpTls};
use serde_json::Value;

use super::*;
use crate::fakes::Smtp;
use crate::fakes::smtp::SmtpFault;

const LONG: Millis = Millis::seconds(30);

fn config(port: u16) -> EmailConfig {
    EmailConfig {
        host: "127.0.0.1".into(),
        port,
        tls: SmtpTls::Off,
        user: None,
        password: None,
        from: "Quell <quell@alerts.example>".into(),
        to: vec!["a@example.org".into(), "Bob <b@example.org>".into(), "c@example.org".into()],
    }
}

fn mailer(config: EmailConfig) -> Box<dyn Receiver> {
    receiver(ReceiverKind::Email(config), &context(LONG))
}

#[tokio::test]
async fn headers_and_both_bodies() {
    let fake = Smtp::start(None);
    taken(&*mailer(config(fake.port())), &message(NotificationKind::Trigger, 1042)).await;
    let mail = &fake.mails()[0];
    assert_eq!((mail.from.as_str(), mail.to.len()), ("quell@alerts.example", 3));
    for (name, expected) in [
        ("From", "Quell <quell@alerts.example>"),
        ("Date", "Mon, 05 Jan 2026 00:00:00 +0000"),
        ("Message-ID", "<d0c5-1042@alerts.example>"),
        ("In-Reply-To", "<d0c5/INC-1042@alerts.example>"),
        ("References", "<d0c5/INC-1042@alerts.example>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("Precedence", "bulk"),
        ("X-Alert-Key", "d0c5/INC-1042"),
        ("X-Priority", "1"),
    ] {
        assert_eq!(mail.header(name), expected, "{name} of {}", mail.data);
    }
    let (plain, html) =
        (mail.data.find("text/plain; charset=utf-8").unwrap(), mail.data.find("text/html; charset=utf-8").unwrap());
    assert!(plain < html && mail.data.matches("Content-Transfer-Encoding: quoted-printable").count() == 2, "{}", mail.data);
}

#[tokio::test]
async fn each_recipient_is_judged_by_itself() {
    // Answers to RCPT, what becomes of the first attempt, and who has the mail after the second.
    let b_later = SmtpFault::Answer("RCPT TO:<b@", "451 4.3.0 greylisted, come back later");
    let b_never = SmtpFault::Answer("RCPT TO:<b@", "550 5.1.1 no such user");
    for (script, first, who) in [
        (vec![b_later.clone()], Some((true, Fault::Server)), vec![vec!["a", "c"], vec!["b"]]),
        (vec![b_never.clone(), b_never.clone()], Some((false, Fault::Rejected)), vec![vec!["a", "c"]]),
        (vec![b_later, SmtpFault::Answer("RCPT TO:<a@", "550 no")], Some((true, Fault::Server)), vec![vec!["c"], vec!["a", "b"]]),
        (vec![], None, vec![vec!["a", "b", "c"]]),
    ] {
        let fake = Smtp::start(None);
        fake.script(script);
        let mailer = mailer(config(fake.port()));
        let message = message(NotificationKind::Trigger, 1);
        let delivery = mailer.deliver(&message).await;
        assert_eq!(fault_of(&delivery), first, "{delivery:?}");
        if first.is_some() {
            assert!(
                error_of(&delivery).contains("b@example.org") && error_of(&delivery).contains("of 3 recipients have it"),
                "{delivery:?}"
            );
            mailer.deliver(&again(&message)).await;
        }
        let served: Vec<Vec<String>> =
            fake.mails().iter().map(|mail| mail.to.iter().map(|to| to[..1].to_owned()).collect()).collect();
        assert_eq!(served, who);
    }
}

#[tokio::test]
async fn answers_by_their_first_digit() {
    let answer = SmtpFault::Answer;
    for (fault, expected) in [
        (answer("", "421 too busy"), (true, Fault::Server)),
        (answer("", "554 go away"), (false, Fault::Rejected)),
        (answer("MAIL", "451 local error"), (true, Fault::Server)),
        (answer("MAIL", "550 not you"), (false, Fault::Rejected)),
        (answer("MAIL", "530 log in first"), (true, Fault::Auth)),
        (answer("DATA", "452 no space"), (true, Fault::Server)),
        (answer(".", "451 try later"), (true, Fault::Server)),
        (answer(".", "554 spam"), (false, Fault::Rejected)),
        (answer("EHLO", "garbage"), (true, Fault::Server)),
        (SmtpFault::Drop, (true, Fault::Server)),
    ] {
        let fake = Smtp::start(None);
        fake.script([fault.clone()]);
        let mailer = mailer(config(fake.port()));
        let message = message(NotificationKind::Trigger, 1);
        let delivery = mailer.deliver(&message).await;
        let found = fault_of(&delivery).unwrap();
        // A lost connection may show as a broken one or as an answer that ends too early.
        let lost = fault == SmtpFault::Drop && found == (true, Fault::Network);
        assert!(found == expected || lost, "{fault:?}: {delivery:?}");
        assert_eq!(fake.mails().len(), 0);
        taken(&*mailer, &again(&message)).await;
        assert_eq!(fake.mails().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_same_mail_comes_again() {
    let fake = Smtp::start(None);
    fake.script([SmtpFault::TakeThenDrop]);
    let mailer = mailer(config(fake.port()));
    let message = message(NotificationKind::Trigger, 1);
    assert!(matches!(fault_of(&mailer.deliver(&message).await), Some((true, _))));
    taken(&*mailer, &again(&message)).await;
    let ids: Vec<String> = fake.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<d0c5-1@alerts.example>", "<d0c5-1@alerts.example>"]);
}

#[tokio::test]
async fn log_in_and_never_in_the_clear_where_starttls_is_wanted() {
    let fake = Smtp::start(Some(("quell", PASSWORD)));
    let with = |password: Option<&str>, tls: SmtpTls| {
        let user = password.map(|_| "quell".to_owned());
        mailer(EmailConfig { user, password: password.map(Secret::new), tls, ..config(fake.port()) })
    };
    let message = message(NotificationKind::Trigger, 1);
    for (password, tls) in [(None, SmtpTls::Off), (Some("canaryWRONG"), SmtpTls::Off), (Some(PASSWORD), SmtpTls::Starttls)] {
        let before = fake.commands().len();
        let delivery = with(password, tls).deliver(&message).await;
        assert_eq!(fault_of(&delivery), Some((true, Fault::Auth)), "{password:?} {tls:?}: {delivery:?}");
        assert!(!error_of(&delivery).contains("canary"), "{delivery:?}");
        let told = fake.commands().split_off(before);
        let spoke = told.iter().any(|command| command.starts_with("AUTH") || command.starts_with("MAIL"));
        assert_eq!(spoke, tls == SmtpTls::Off, "{told:?}");
    }
    assert_eq!(fake.mails().len(), 0);
    taken(&*with(Some(PASSWORD), SmtpTls::Off), &message).await;
    assert_eq!(fake.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_and_a_forbidden_address() {
    let fake = Smtp::start(None);
    fake.script([SmtpFault::Hold]);
    let kind = ReceiverKind::Email(config(fake.port()));
    let message = message(NotificationKind::Trigger, 1);
    let delivery = receiver(kind.clone(), &context(Millis(300))).deliver(&message).await;
    assert_eq!(fault_of(&delivery), Some((true, Fault::Network)), "{delivery:?}");
    let public_only = Context { outbound: Outbound::PublicOnly, ..context(LONG) };
    for host in ["127.0.0.1", "localhost", "::1"] {
        let kind = ReceiverKind::Email(EmailConfig { host: host.into(), ..config(fake.port()) });
        let delivery = receiver(kind, &public_only).deliver(&message).await;
        assert_eq!(fault_of(&delivery), Some((false, Fault::Address)), "{host}: {delivery:?}");
    }
    let metadata = ReceiverKind::Email(EmailConfig { host: "169.254.169.254".into(), ..config(25) });
    assert_eq!(fault_of(&receiver(metadata, &context(LONG)).deliver(&message).await), Some((false, Fault::Address)));
    assert_eq!(fake.commands().len(), 0);
}

#[test]
fn addresses_that_are_none_are_refused() {
    for (from, to) in [("quell", vec!["a@example.org"]), ("q@x.example", vec!["a"]), ("q@x.example", vec![])] {
        let to = to.into_iter().map(str::to_owned).collect();
        let kind = ReceiverKind::Email(EmailConfig { from: from.into(), to, ..config(25) });
        assert!(build(&ReceiverConfig { name: "mail".into(), kind }, &context(LONG)).is_err(), "{from}");
    }
}

/// Prints its port, then each mail as a line of JSON, taken apart by Python's own mail parser.
const REAL_SERVER: &str = r#"
import asyncio, email, email.policy, json, sys
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        headers = {name: str(mail[name]) for name in mail.keys()}
        text = lambda kind: mail.get_body(preferencelist=(kind,)).get_content()
        print(json.dumps({"to": envelope.rcpt_tos, "headers": headers, "plain": text("plain"), "html": text("html")}), flush=True)
        return "250 OK"
async def main():
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(Handler()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"#;

#[tokio::test]
async fn a_real_mail_server_understands_it() {
    // Debian's interpreter, because it is the one that finds Debian's package.
    let mut server = Command::new("/usr/bin/python3").args(["-c", REAL_SERVER]).stdout(Stdio::piped()).spawn().expect("python3");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = lines.next().expect("is Debian's package python3-aiosmtpd installed?").unwrap();
    let mut message = message(NotificationKind::Trigger, 1042);
    change(&mut message, |incident| {
        incident.title = "Größe\r\nBcc: evil@example.org\r\n\r\n.\r\nübel <b>&amp;".into();
        incident.priority = 2;
    });
    message.reason = format!("{} a long line with ümlauts, and then\n.\n.a dot", "x".repeat(400));
    taken(&*mailer(config(port.parse().unwrap())), &message).await;
    let mail: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(mail["to"], serde_json::json!(["a@example.org", "b@example.org", "c@example.org"]));
    let title = "Größe  Bcc: evil@example.org    .  übel <b>&amp;";
    assert_eq!(mail["headers"]["Subject"], format!("P2 checkout: 2 alerts, critical — {title}"));
    assert_eq!(mail["headers"].get("Bcc"), None);
    assert_eq!(mail["headers"].get("X-Priority"), None);
    let (plain, html) = (mail["plain"].as_str().unwrap(), mail["html"].as_str().unwrap());
    assert!(plain.contains(title) && plain.contains("a long line with ümlauts, and then . .a dot"), "{plain}");
    assert!(html.contains("übel &lt;b&gt;&amp;amp;"), "{html}");
}
