use std::sync::Mutex;

use tokio::sync::{mpsc, watch};

use super::lines::{Lines, Verdict};
use super::*;
use crate::engine::{Changes, DeliveryOutcome};
use crate::model::{
    Incident, IncidentId, Millis, Notification, NotificationId, NotificationKind, NotificationState, Reason, RuleRef, Severity,
    Time,
};
use crate::runtime::clock::Reading;

const START: Time = Time(1_767_571_200_000);

fn notification(id: u64, incident: u64, receiver: &str, kind: NotificationKind) -> Arc<Notification> {
    Arc::new(Notification {
        id: NotificationId(id),
        incident: IncidentId(incident),
        receiver: receiver.into(),
        kind,
        reason: Reason::Rule(RuleRef::new("page", "rules.yaml", 7)),
        again: false,
        state: NotificationState::Queued,
        attempts: 0,
        created_at: START,
        delivered_at: None,
        retry_at: None,
        error: None,
    })
}

fn incident(id: u64) -> Arc<Incident> {
    let mut incident = Incident::opened(IncidentId(id), RuleRef::built_in("default"), "disk full".into(), 1, START);
    incident.priority = 2;
    incident.impact = 2;
    incident.urgency = 1;
    incident.priority_reason = Reason::Text("default".into());
    incident.severity = Severity::Critical;
    incident.category = "storage".into();
    Arc::new(incident)
}

/// What is next at `now`, by number.
fn next(lines: &mut Lines, now: Time) -> Option<u64> {
    lines.next(now).map(|owed| owed.notification.id.0)
}

fn server_error() -> Delivery {
    Delivery::TryAgain { fault: Fault::Server, error: "503".into(), retry_after: None }
}

#[test]
fn an_incidents_line_is_in_order_and_lines_are_apart() {
    let mut lines = Lines::default();
    for (id, incident) in [(1, 1), (2, 1), (3, 2)] {
        lines.push(Owed::new(notification(id, incident, "pager", NotificationKind::Update)), START);
    }
    assert_eq!((next(&mut lines, START), next(&mut lines, START), next(&mut lines, START)), (Some(1), Some(3), None));
    let again = START + Millis::seconds(5);
    lines.finished(IncidentId(1), Verdict::Again(again), 0, START);
    assert_eq!(next(&mut lines, START), None, "the second of a line never passes the first");
    assert_eq!(lines.next_at(), Some(again));
    assert_eq!(next(&mut lines, again), Some(1));
    lines.finished(IncidentId(1), Verdict::Over, 0, again);
    assert_eq!(next(&mut lines, again), Some(2));
    lines.finished(IncidentId(1), Verdict::Taken, 0, again);
    lines.finished(IncidentId(2), Verdict::Taken, 0, again);
    assert_eq!((lines.next_at(), next(&mut lines, again)), (None, None));
}

#[test]
fn a_receiver_gets_eight_at_once_and_one_while_its_breaker_is_open() {
    let mut lines = Lines::default();
    for n in 1..=20 {
        lines.push(Owed::new(notification(n, n, "pager", NotificationKind::Trigger)), START);
    }
    let mut now = START;
    let first: Vec<u64> = std::iter::from_fn(|| next(&mut lines, now)).collect();
    assert_eq!(first, (1..=8).collect::<Vec<_>>());
    for n in first {
        lines.learn(&server_error(), now);
        lines.finished(IncidentId(n), Verdict::Again(now + Millis::seconds(60)), 0, now);
    }
    for n in [9, 10] {
        assert_eq!(next(&mut lines, now), Some(n));
        lines.learn(&server_error(), now);
        lines.finished(IncidentId(n), Verdict::Again(now + Millis::seconds(60)), 0, now);
    }
    assert!(lines.breaker_is_open());
    assert_eq!(next(&mut lines, now), None);
    now = lines.next_at().unwrap();
    assert_eq!((now, next(&mut lines, now), next(&mut lines, now)), (START + Millis::seconds(30), Some(11), None));
    lines.learn(&Delivery::Taken { remote: None }, now);
    lines.finished(IncidentId(11), Verdict::Taken, 0, now);
    assert!(!lines.breaker_is_open());
    assert_eq!(std::iter::from_fn(|| next(&mut lines, now)).count(), 8, "all at once again");
}

#[test]
fn a_throttling_receiver_is_left_alone() {
    let mut lines = Lines::default();
    lines.push(Owed::new(notification(1, 1, "chat", NotificationKind::Trigger)), START);
    lines.throttle(START + Millis::seconds(30));
    assert_eq!(next(&mut lines, START + Millis::seconds(29)), None);
    assert_eq!(next(&mut lines, START + Millis::seconds(30)), Some(1));
}

#[test]
fn only_what_the_message_told_already_is_folded_into_it() {
    use NotificationKind::{Acknowledge, Resolve, Trigger, Update};
    // Whether it was in line before the attempt began.
    const EARLY: bool = true;
    const LATE: bool = false;
    // (the kinds in line with "again", what the first tells)
    type Case = (&'static [(NotificationKind, bool, bool)], &'static [u64]);
    let cases: [Case; 7] = [
        (&[(Trigger, false, EARLY), (Update, false, EARLY), (Update, false, EARLY)], &[2, 3]),
        (&[(Trigger, false, EARLY), (Trigger, true, EARLY), (Resolve, false, EARLY)], &[2]),
        (&[(Trigger, false, EARLY), (Update, false, LATE)], &[]),
        (&[(Update, false, EARLY), (Trigger, true, EARLY)], &[]),
        (&[(Update, false, EARLY), (Update, false, EARLY), (Resolve, false, EARLY), (Update, false, EARLY)], &[2]),
        (&[(Trigger, false, EARLY), (Trigger, false, EARLY)], &[]),
        (&[(Acknowledge, false, EARLY), (Update, false, EARLY)], &[]),
    ];
    for (line, expected) in cases {
        let mut lines = Lines::default();
        let made = line.iter().zip(1..).map(|((kind, again, early), id)| {
            (*early, Owed::new(Arc::new(Notification { again: *again, ..(*notification(id, 1, "chat", *kind)).clone() })))
        });
        let (early, late): (Vec<_>, Vec<_>) = made.partition(|(early, _)| *early);
        for (_, owed) in early {
            lines.push(owed, START);
        }
        lines.next(START).unwrap();
        for (_, owed) in late {
            lines.push(owed, START);
        }
        let told = lines.told_with_first(IncidentId(1));
        assert_eq!(told.iter().map(|id| id.0).collect::<Vec<_>>(), expected, "{line:?}");
        lines.finished(IncidentId(1), Verdict::Taken, told.len(), START);
        let rest = line.len() - 1 - expected.len();
        assert_eq!(next(&mut lines, START), (rest > 0).then_some(2 + expected.len() as u64), "{line:?}");
    }
}

#[test]
fn what_is_in_line_already_is_not_put_there_twice() {
    let mut lines = Lines::default();
    for _ in 0..2 {
        lines.push(Owed::new(notification(1, 1, "pager", NotificationKind::Trigger)), START);
    }
    assert_eq!(next(&mut lines, START), Some(1));
    lines.finished(IncidentId(1), Verdict::Taken, 0, START);
    assert_eq!(next(&mut lines, START), None);
}

/// A receiver that answers as it is told, and keeps what it was sent.
struct Fake {
    sent: Arc<Mutex<Vec<Message>>>,
    /// Nothing is answered while this is true.
    stuck: watch::Receiver<bool>,
    answers: Mutex<Vec<Delivery>>,
}

impl Receiver for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn is_pager(&self) -> bool {
        true
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        Box::pin(async move {
            self.sent.lock().unwrap().push(message.clone());
            let mut stuck = self.stuck.clone();
            stuck.wait_for(|stuck| !stuck).await.unwrap();
            self.answers.lock().unwrap().pop().unwrap_or(Delivery::Taken { remote: None })
        })
    }
}

/// An outbox with fake receivers and a log that keeps everything.
struct House {
    owed: mpsc::UnboundedSender<Owed>,
    outbox: Outbox,
    metrics: Arc<Metrics>,
    recorded: mpsc::UnboundedReceiver<(NotificationId, DeliveryOutcome)>,
    /// What the log answers, last first; then that it is well.
    refusals: Arc<Mutex<Vec<SubmitError>>>,
    sent: BTreeMap<&'static str, Arc<Mutex<Vec<Message>>>>,
    stuck: watch::Sender<bool>,
}

/// Builds it. `slow` is a receiver that hangs until `stuck` turns false; `answers` are the pager's first, last first.
fn house(answers: Vec<Delivery>) -> House {
    let began = tokio::time::Instant::now();
    let clock = Clock::new(move || {
        let ms = Millis(i64::try_from(began.elapsed().as_millis()).unwrap());
        Reading { wall: START + ms, steady: ms }
    });
    let live = Arc::new(Live::new(&crate::config::Config::default()));
    live.publish(&Changes { incidents: (1..=20).map(incident).collect(), ..Changes::default() }, START);
    let stuck = watch::Sender::new(true);
    let fine = watch::Sender::new(false);
    let (mut receivers, mut sent) = (Receivers::new(), BTreeMap::new());
    for (name, stuck, answers) in [("pager", fine.subscribe(), answers), ("slow", stuck.subscribe(), Vec::new())] {
        let kept = Arc::new(Mutex::new(Vec::new()));
        receivers.insert(name.into(), Arc::new(Fake { sent: kept.clone(), stuck, answers: Mutex::new(answers) }));
        sent.insert(name, kept);
    }
    let (outcomes, recorded) = mpsc::unbounded_channel();
    let refusals = Arc::new(Mutex::new(Vec::<SubmitError>::new()));
    let log = refusals.clone();
    let record: Record = Arc::new(move |inputs| {
        let (outcomes, log) = (outcomes.clone(), log.clone());
        Box::pin(async move {
            if let Some(refusal) = log.lock().unwrap().pop() {
                return Err(refusal);
            }
            for input in inputs {
                let Input::Delivery { notification, outcome } = input else { panic!("only outcomes are recorded") };
                outcomes.send((notification, outcome)).unwrap();
            }
            Ok(())
        })
    });
    let metrics = Arc::new(Metrics::default());
    let tools = Tools {
        live,
        record,
        clock,
        metrics: metrics.clone(),
        directory: "abcdefgh".into(),
        external_url: Some("https://quell.example/".into()),
        drain: Shutdown::default(),
    };
    let (owed, inbox) = mpsc::unbounded_channel();
    House { owed, outbox: Outbox::start(receivers, inbox, tools), metrics, recorded, refusals, sent, stuck }
}

impl House {
    fn owe(&self, id: u64, incident: u64, receiver: &str, kind: NotificationKind) {
        self.owed.send(Owed::new(notification(id, incident, receiver, kind))).unwrap();
    }

    async fn outcome(&mut self) -> (u64, DeliveryOutcome) {
        let (id, outcome) = self.recorded.recv().await.unwrap();
        (id.0, outcome)
    }

    fn ids_sent(&self, receiver: &str) -> Vec<String> {
        self.sent[receiver].lock().unwrap().iter().map(|message| message.id.clone()).collect()
    }
}

fn delivered() -> DeliveryOutcome {
    DeliveryOutcome::Delivered { remote: None }
}

#[tokio::test(start_paused = true)]
async fn a_message_says_what_its_receiver_needs() {
    let mut house = house(vec![Delivery::Taken { remote: Some("PD-9".into()) }]);
    house.owe(5, 3, "pager", NotificationKind::Trigger);
    assert_eq!(house.outcome().await, (5, DeliveryOutcome::Delivered { remote: Some("PD-9".into()) }));
    let sent = house.sent["pager"].lock().unwrap();
    let message = &sent[0];
    assert_eq!((message.id.as_str(), message.key.as_str()), ("abcdefgh-5", "abcdefgh/INC-3"));
    assert_eq!(message.url.as_deref(), Some("https://quell.example/incidents/INC-3"));
    assert_eq!(message.reason, "by rule page (rules.yaml:7)");
    assert_eq!((message.attempts, message.actor.as_deref()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_delays_no_other() {
    let mut house = house(Vec::new());
    for n in 1..=20 {
        house.owe(n, n, "slow", NotificationKind::Trigger);
    }
    house.owe(21, 1, "pager", NotificationKind::Trigger);
    assert_eq!(house.outcome().await, (21, delivered()));
    // Messages are built on other threads, so the last of these may come a moment later.
    while house.ids_sent("slow").len() < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.ids_sent("slow").len(), 8, "as many as may be under way at once");
    house.stuck.send_replace(false);
    for _ in 1..=20 {
        assert_eq!(house.outcome().await.1, delivered());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_made_again_under_the_same_id_and_before_what_follows() {
    let mut house = house(vec![server_error()]);
    house.owe(1, 1, "pager", NotificationKind::Trigger);
    house.owe(2, 1, "pager", NotificationKind::Resolve);
    let (id, outcome) = house.outcome().await;
    let DeliveryOutcome::Failed { error, retry_at } = outcome else { panic!("{outcome:?}") };
    assert_eq!((id, &*error), (1, "503"));
    assert!(retry_at > START && retry_at <= START + Millis::seconds(2), "{retry_at}");
    assert_eq!((house.outcome().await, house.outcome().await), ((1, delivered()), (2, delivered())));
    assert_eq!(house.ids_sent("pager"), ["abcdefgh-1", "abcdefgh-1", "abcdefgh-2"]);
    assert_eq!(house.sent["pager"].lock().unwrap()[1].attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_for_ever_has_failed() {
    let mut house = house(Vec::new());
    house.owe(1, 1, "slow", NotificationKind::Trigger);
    let (_, outcome) = house.outcome().await;
    assert!(matches!(&outcome, DeliveryOutcome::Failed { error, .. } if &**error == "no answer within 60 s"), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_delivered_is_dead_with_its_reason() {
    let refused = Delivery::Refused { fault: Fault::Rejected, error: "400 invalid routing key".into() };
    let mut house = house(vec![refused]);
    let cases = [
        (1, 1, "pager", "400 invalid routing key"),
        (2, 1, "nobody", "no receiver is named \"nobody\" in the configuration"),
        (3, 99, "pager", "INC-99 is no longer known"),
    ];
    for (id, incident, receiver, expected) in cases {
        house.owe(id, incident, receiver, NotificationKind::Trigger);
        assert_eq!(house.outcome().await, (id, DeliveryOutcome::Dead { error: expected.into() }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_failures_ends_in_a_visible_death() {
    let mut house = house((0..10_000).map(|_| server_error()).collect());
    house.owe(1, 1, "pager", NotificationKind::Trigger);
    let mut attempts = 1;
    let last = loop {
        match house.outcome().await.1 {
            DeliveryOutcome::Failed { .. } => attempts += 1,
            other => break other,
        }
    };
    assert_eq!(last, DeliveryOutcome::Dead { error: "given up after 24 h: 503".into() });
    // Past the tenth, the open breaker lets one through each 30 s.
    assert!((2_400..=3_000).contains(&attempts), "{attempts}");
}

#[tokio::test(start_paused = true)]
async fn what_was_owed_before_the_start_goes_out_under_its_old_id_and_is_counted() {
    let mut house = house(Vec::new());
    house.owed.send(Owed::from_before(notification(4, 1, "pager", NotificationKind::Trigger))).unwrap();
    assert_eq!(house.outcome().await, (4, delivered()));
    assert_eq!(house.metrics.notification_repeats_total.get(), 1);
    let sent = house.sent["pager"].lock().unwrap();
    assert_eq!((sent[0].id.as_str(), sent[0].attempts), ("abcdefgh-4", 1));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_waits_for_the_log_and_its_line_with_it() {
    let mut house = house(Vec::new());
    *house.refusals.lock().unwrap() = vec![SubmitError::Storage("no space".into()), SubmitError::Overloaded];
    house.owe(1, 1, "pager", NotificationKind::Trigger);
    house.owe(2, 1, "pager", NotificationKind::Resolve);
    assert_eq!((house.outcome().await, house.outcome().await), ((1, delivered()), (2, delivered())));
    assert_eq!(house.ids_sent("pager"), ["abcdefgh-1", "abcdefgh-2"], "an outcome that is not recorded yet repeats nothing");
}

#[tokio::test(start_paused = true)]
async fn draining_sends_what_is_due_and_leaves_what_waits() {
    let mut house = house(vec![server_error()]);
    house.owe(1, 1, "pager", NotificationKind::Trigger);
    assert!(matches!(house.outcome().await, (1, DeliveryOutcome::Failed { .. })));
    house.owe(2, 2, "pager", NotificationKind::Trigger);
    house.outbox.drain(Duration::from_secs(5)).await;
    assert_eq!(house.recorded.recv().await.map(|(id, outcome)| (id.0, outcome)), Some((2, delivered())));
    assert_eq!(house.sent["pager"].lock().unwrap().len(), 2);
}
