//! What all receivers that speak HTTP owe: the same outcome under the same fault, one object per incident, no secret told.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use quell::deliver::address::{LookingUp, Lookup};
use quell::deliver::retry::{Next, next};

use super::*;
use crate::fakes::{Answer, Fault as Script};

const LONG: Millis = Millis::seconds(30);
/// Long enough for a call over loopback to be under way, short enough to wait for.
const SHORT: Millis = Millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Again(Fault),
    Refused(Fault),
    /// Taken by those who cannot know better, another attempt for the rest.
    TakenUnlessStrict,
}

fn answered(status: u16) -> Script {
    Script::Answer(Answer::text(status, "no"))
}

/// Faults of one call, and what becomes of the attempt.
fn faults(trap: &Server) -> Vec<(&'static str, Script, Outcome)> {
    use Outcome::{Again, Refused, TakenUnlessStrict};
    let redirect = Script::Answer(Answer::text(302, "").with("location", &format!("{}/trap/canaryPATH", trap.url())));
    let gzip = Answer::text(200, "\u{1f}\u{8b}garbage").with("content-encoding", "gzip");
    vec![
        ("500", answered(500), Again(Fault::Server)),
        ("502", answered(502), Again(Fault::Server)),
        ("503", answered(503), Again(Fault::Server)),
        ("504", answered(504), Again(Fault::Server)),
        ("529", answered(529), Again(Fault::Server)),
        ("408", answered(408), Again(Fault::Server)),
        ("425", answered(425), Again(Fault::Server)),
        ("429", answered(429), Again(Fault::Throttled)),
        ("401", answered(401), Again(Fault::Auth)),
        ("404", answered(404), Refused(Fault::Rejected)),
        ("410", answered(410), Refused(Fault::Rejected)),
        ("415", answered(415), Refused(Fault::Rejected)),
        ("422", answered(422), Refused(Fault::Rejected)),
        ("redirect", redirect, Refused(Fault::Rejected)),
        ("taken, then dropped", Script::TakeThenDrop, Again(Fault::Network)),
        ("dropped before the body", Script::DropBefore, Again(Fault::Network)),
        ("taken, never answered", Script::Hold, Again(Fault::Network)),
        ("taken, answer never ends", Script::Endless, TakenUnlessStrict),
        ("taken, then a page", Script::TakeThen(Answer::text(200, "<html>Hibernating</html>")), TakenUnlessStrict),
        ("taken, then half of it", Script::TakeThen(Answer::text(200, "{\"result\":{\"sys_")), TakenUnlessStrict),
        ("taken, then a bomb", Script::TakeThen(gzip), TakenUnlessStrict),
    ]
}

#[tokio::test]
async fn every_fault_has_its_outcome_and_leaves_one_object() {
    let trap = Server::start(|_| Answer::text(200, "trapped"));
    for (name, fault, outcome) in faults(&trap) {
        for vendor in Vendor::all() {
            // ServiceNow looks before it creates: both of its calls can fail.
            let looks = usize::from(matches!(vendor, Vendor::Servicenow(_)));
            for before in 0..=looks {
                let vendor = Vendor::all().into_iter().find(|other| other.name() == vendor.name()).unwrap();
                let place = format!("{} under {name} after {before} calls", vendor.name());
                vendor.server().script(std::iter::repeat_n(Script::Pass, before).chain([fault.clone()]));
                let message = message(NotificationKind::Trigger, 1);
                let held = matches!(fault, Script::Hold);
                let first = receiver(vendor.kind(), &context(if held { SHORT } else { LONG })).deliver(&message).await;
                let expected = match outcome {
                    Outcome::Again(fault) => Some((true, fault)),
                    Outcome::Refused(fault) => Some((false, fault)),
                    Outcome::TakenUnlessStrict => vendor.is_strict().then_some((true, Fault::Server)),
                };
                assert_eq!(fault_of(&first), expected, "{place}: {first:?}");
                // As after a crash: another receiver that knows of nothing but the notification's attempts.
                taken(&*receiver(vendor.kind(), &context(LONG)), &again(&message)).await;
                assert_eq!(vendor.objects(), 1, "{place}");
            }
        }
    }
    assert_eq!(trap.requests().len(), 0, "a redirect was followed");
}

#[tokio::test]
async fn an_answer_that_stalls_ends_with_the_calls_time() {
    for vendor in Vendor::all() {
        vendor.server().script([Script::Stall]);
        let delivery = receiver(vendor.kind(), &context(SHORT)).deliver(&message(NotificationKind::Trigger, 1)).await;
        assert!(matches!(fault_of(&delivery), None | Some((true, Fault::Network))), "{}: {delivery:?}", vendor.name());
        assert_eq!(fault_of(&delivery).is_none(), matches!(vendor, Vendor::Webhook(_)), "204 has no body to wait for");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_holds_up_no_other() {
    let (slow, quick) = (Vendor::Pagerduty(PagerDuty::start()), Vendor::Webhook(Webhook::start(Some(WEBHOOK_SECRET))));
    slow.server().script([Script::Hold]);
    let hanging = receiver(slow.kind(), &context(LONG));
    let hanging = tokio::spawn(async move { hanging.deliver(&message(NotificationKind::Trigger, 1)).await });
    slow.server().wait_for(|requests| requests.len() == 1);
    taken(&*receiver(quick.kind(), &context(LONG)), &message(NotificationKind::Trigger, 1)).await;
    assert!(!hanging.is_finished());
    // The server goes away, and with it the connection: no answer, worth another attempt.
    drop(slow);
    assert_eq!(fault_of(&hanging.await.unwrap()), Some((true, Fault::Network)));
}

#[tokio::test]
async fn throttling_names_its_time() {
    for (header, expected) in [
        ("30", Some(Millis::seconds(30))),
        ("0", Some(Millis::ZERO)),
        ("86400", Some(Millis::hours(24))),
        ("Mon, 05 Jan 2026 00:02:00 GMT", Some(Millis::minutes(2))),
        ("soon", None),
    ] {
        for vendor in Vendor::all() {
            vendor.server().script([Script::Answer(Answer::text(429, "slow down").with("retry-after", header))]);
            let delivery = receiver(vendor.kind(), &context(LONG)).deliver(&message(NotificationKind::Trigger, 1)).await;
            let Delivery::TryAgain { fault: Fault::Throttled, retry_after, .. } = delivery else { panic!("{delivery:?}") };
            assert_eq!(retry_after, expected, "{} by {header:?}", vendor.name());
        }
    }
}

#[tokio::test]
async fn three_failures_then_delivered_once_with_growing_waits() {
    for vendor in Vendor::all() {
        vendor.server().script([answered(500), answered(500), answered(500)]);
        let receiver = receiver(vendor.kind(), &context(LONG));
        let mut message = message(NotificationKind::Trigger, 1);
        let mut waits = vec![];
        while let Delivery::TryAgain { retry_after, .. } = receiver.deliver(&message).await {
            message.attempts += 1;
            let Next::At(at) = next(message.attempts, receiver.is_pager(), 7, message.now, retry_after, message.created_at)
            else {
                panic!("dead after {} attempts", message.attempts);
            };
            waits.push(at.since(message.now));
            message.now = at;
        }
        assert!(waits.len() == 3 && waits[0] < waits[2], "{}: {waits:?}", vendor.name());
        assert_eq!(vendor.objects(), 1, "{}", vendor.name());
    }
}

#[tokio::test]
async fn equal_titles_never_share_an_object() {
    for vendor in Vendor::all() {
        let receiver = receiver(vendor.kind(), &context(LONG));
        for number in [1, 2] {
            taken(&*receiver, &message(NotificationKind::Trigger, number)).await;
        }
        assert_eq!(vendor.objects(), 2, "{}", vendor.name());
    }
}

#[tokio::test]
async fn closing_what_is_not_there_is_taken() {
    for vendor in Vendor::all() {
        let receiver = receiver(vendor.kind(), &context(LONG));
        for kind in [NotificationKind::Acknowledge, NotificationKind::Resolve, NotificationKind::Resolve] {
            taken(&*receiver, &message(kind, 1)).await;
        }
    }
}

/// Everything that a receiver must not tell, whatever its server repeats of it.
fn canaries() -> Vec<String> {
    use base64::Engine as _;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("quell:{PASSWORD}"));
    ["canaryPATH", ROUTING_KEY, WEBHOOK_SECRET, BEARER, PASSWORD, &basic].map(str::to_owned).to_vec()
}

#[tokio::test]
async fn no_secret_is_told_even_if_the_server_repeats_it() {
    let echo = canaries().into_iter().filter(|canary| canary != "canaryPATH").collect::<Vec<_>>().join(" ");
    for status in [200, 302, 400, 401, 403, 404, 429, 500] {
        for vendor in Vendor::all() {
            let answer = Answer::text(status, &echo).with("location", &format!("{}/canaryPATH", vendor.server().url()));
            vendor.server().script([Script::Answer(answer.clone()), Script::Answer(answer)]);
            let kind = vendor.kind();
            let delivery = receiver(kind.clone(), &context(LONG)).deliver(&message(NotificationKind::Trigger, 1)).await;
            let own: Vec<String> = match vendor {
                Vendor::Pagerduty(_) => vec![ROUTING_KEY.into()],
                Vendor::Webhook(_) => vec![WEBHOOK_SECRET.into()],
                Vendor::Alertmanager(_) => vec![BEARER.into()],
                Vendor::Servicenow(_) => canaries().split_off(4),
            };
            let told = format!("{delivery:?} {kind:?}");
            for canary in own.iter().map(String::as_str).chain(["canaryPATH"]) {
                assert!(!told.contains(canary), "{} by {status}: {told}", vendor.name());
            }
        }
    }
}

#[tokio::test]
async fn urls_that_hold_secrets_stay_out_of_errors() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}/canaryPATH?token=canaryQUERY"), "http://name.invalid:1/canaryPATH".to_owned()] {
        for kind in
            [pagerduty_kind(url.clone()), webhook_kind(url.clone()), alertmanager_kind(url.clone()), servicenow_kind(url.clone())]
        {
            let context = Context { lookup: Arc::new(Scripted::new(|_| Err(io::ErrorKind::NotFound.into()))), ..context(LONG) };
            let delivery = receiver(kind, &context).deliver(&message(NotificationKind::Trigger, 1)).await;
            assert_eq!(fault_of(&delivery), Some((true, Fault::Network)), "{delivery:?}");
            assert!(!format!("{delivery:?}").contains("canary"), "{delivery:?}");
        }
    }
}

/// Names resolved by a closure, with a count of the look-ups.
struct Scripted {
    addresses: Box<dyn Fn(usize) -> io::Result<Vec<IpAddr>> + Send + Sync>,
    lookups: AtomicUsize,
}

impl Scripted {
    fn new(addresses: impl Fn(usize) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Scripted {
        Scripted { addresses: Box::new(addresses), lookups: AtomicUsize::new(0) }
    }
}

impl Lookup for Scripted {
    fn lookup<'a>(&'a self, _: &'a str) -> LookingUp<'a> {
        let count = self.lookups.fetch_add(1, Ordering::SeqCst);
        let found = (self.addresses)(count);
        Box::pin(async move { found })
    }
}

#[tokio::test]
async fn forbidden_addresses_are_refused_before_the_connection() {
    let trap = Server::start(|_| Answer::text(200, "trapped"));
    let port = trap.address().port();
    let public_only = || Context { outbound: Outbound::PublicOnly, ..context(LONG) };
    let cases: Vec<(String, Context)> = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://user:password@127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
    ]
    .into_iter()
    .map(|url| (url, public_only()))
    .chain(
        ["http://169.254.169.254/latest/", "http://2852039166/", "http://[fd00:ec2::254]/", "http://[fe80::1]/"]
            .map(|url| (url.to_owned(), context(LONG))),
    )
    .collect();
    for (url, context) in cases {
        let kinds = [
            pagerduty_kind(url.clone()),
            webhook_kind(url.clone()),
            alertmanager_kind(url.clone()),
            servicenow_kind(url.clone()),
        ];
        for kind in kinds {
            let delivery = receiver(kind, &context).deliver(&message(NotificationKind::Trigger, 1)).await;
            assert_eq!(fault_of(&delivery), Some((false, Fault::Address)), "{url}: {delivery:?}");
        }
    }
    assert_eq!(trap.requests().len(), 0);
}

#[tokio::test]
async fn names_are_resolved_once_and_every_address_counts() {
    let hook = Webhook::start(Some(WEBHOOK_SECRET));
    let url = format!("http://hooks.example:{}/hook", hook.server().address().port());
    let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    // The first look-up gives loopback. Whoever looks up again, gets an address where nobody answers.
    let good = addresses(&["127.0.0.1"]);
    let lookup = Arc::new(Scripted::new(move |count| if count == 0 { Ok(good.clone()) } else { Ok(vec![]) }));
    let open = Context { lookup: lookup.clone(), ..context(LONG) };
    taken(&*receiver(webhook_kind(url.clone()), &open), &message(NotificationKind::Trigger, 1)).await;
    assert_eq!((lookup.lookups.load(Ordering::SeqCst), hook.requests().len()), (1, 1));
    // A public address beside a private one does not help, and neither does a name for the metadata address.
    for (outbound, list) in [
        (Outbound::PublicOnly, addresses(&["8.8.8.8", "127.0.0.1"])),
        (Outbound::PublicOnly, addresses(&["::ffff:127.0.0.1"])),
        (Outbound::Open, addresses(&["127.0.0.1", "169.254.169.254"])),
    ] {
        let shown = format!("{list:?}");
        let context = Context { outbound, lookup: Arc::new(Scripted::new(move |_| Ok(list.clone()))), ..context(LONG) };
        let delivery = receiver(webhook_kind(url.clone()), &context).deliver(&message(NotificationKind::Trigger, 1)).await;
        assert_eq!(fault_of(&delivery), Some((false, Fault::Address)), "{shown}: {delivery:?}");
    }
    assert_eq!(hook.requests().len(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused_without_repeating_them() {
    for url in ["file:///canaryPATH", "gopher://canaryPATH/", "canaryPATH", ""] {
        for kind in
            [pagerduty_kind(url.into()), webhook_kind(url.into()), alertmanager_kind(url.into()), servicenow_kind(url.into())]
        {
            let error = build(&ReceiverConfig { name: "r".into(), kind }, &context(LONG)).err().unwrap();
            assert!(error.to_string().starts_with("receiver r: ") && !error.to_string().contains("canaryPATH"), "{error}");
        }
    }
}
