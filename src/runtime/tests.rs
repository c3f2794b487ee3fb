//! The runtime as a whole, on a real folder whose disk can be made to wait and to fail.

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::catch_up::{CatchUp, WriteView};
use super::clock::Reading;
use super::*;
use crate::config::Config;
use crate::deliver::{Delivery, Fault, Message, Receiver};
use crate::engine::{Act, Answer, Input, News};
use crate::metrics::Metrics;
use crate::model::{
    Actor, Alert, AlertRecord, AlertStatus, Fingerprint, Incident, IncidentId, Labels, Millis, Notification, NotificationState,
    Time,
};
use crate::ruleset::{self, SourceFile};
use crate::storage::disk::{Disk, DiskFile, FolderDisk};
use crate::storage::log::{LogFiles, LogOptions, SkipDamage};
use crate::storage::view::View;

const START: Time = Time(1_767_571_200_000);
const RULES: &str = "escalate:\n  - name: page\n    match: [severity=critical]\n    steps:\n      - notify: [pager]\n";

/// What the disk does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// A sync waits until this changes.
    Waiting,
    /// No record can be written, there is no space left. Zeros can: they undo what was half written, in space that is there.
    Full,
    /// Every sync fails.
    Broken,
}

/// How a test steers its disk.
struct Control {
    mood: Mutex<Mood>,
    changed: Condvar,
    /// Told when a sync begins to wait.
    waits: mpsc::UnboundedSender<()>,
}

impl Control {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

struct MoodyDisk {
    folder: FolderDisk,
    control: Arc<Control>,
}

struct MoodyFile {
    file: File,
    control: Arc<Control>,
}

impl Disk for MoodyDisk {
    type File = MoodyFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }
    fn open(&self, name: &str, create: bool) -> io::Result<MoodyFile> {
        Ok(MoodyFile { file: self.folder.open(name, create)?, control: self.control.clone() })
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }
    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync_folder()
    }
}

impl DiskFile for MoodyFile {
    fn len(&self) -> io::Result<u64> {
        DiskFile::len(&self.file)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        DiskFile::read_at(&self.file, offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.control.mood() {
            Mood::Full if data.iter().any(|byte| *byte != 0) => Err(io::ErrorKind::StorageFull.into()),
            _ => DiskFile::write_at(&mut self.file, offset, data),
        }
    }
    fn sync(&mut self) -> io::Result<()> {
        let mut mood = self.control.mood.lock().unwrap();
        if *mood == Mood::Waiting {
            self.control.waits.send(()).unwrap();
        }
        while *mood == Mood::Waiting {
            mood = self.control.changed.wait(mood).unwrap();
        }
        if *mood == Mood::Broken {
            return Err(io::Error::other("the device is gone"));
        }
        DiskFile::sync(&mut self.file)
    }
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        DiskFile::set_len(&mut self.file, bytes)
    }
}

/// A pager that keeps what it was sent and takes it or not.
struct Pager {
    takes: Arc<AtomicBool>,
    sent: mpsc::UnboundedSender<Message>,
}

impl Receiver for Pager {
    fn kind(&self) -> &'static str {
        "fake"
    }
    fn is_pager(&self) -> bool {
        true
    }
    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        self.sent.send(message.clone()).unwrap();
        let failed = Delivery::TryAgain { fault: Fault::Server, error: "503".into(), retry_after: None };
        Box::pin(std::future::ready(if self.takes.load(Ordering::SeqCst) { Delivery::Taken { remote: None } } else { failed }))
    }
}

/// A running runtime and the strings that a test pulls.
struct House {
    runtime: Runtime,
    handle: Handle,
    control: Arc<Control>,
    waits: mpsc::UnboundedReceiver<()>,
    sent: mpsc::UnboundedReceiver<Message>,
    pager_takes: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    now: Arc<Mutex<Time>>,
    rules: Arc<Mutex<&'static str>>,
}

struct Options {
    queue_alerts: usize,
    pager_takes: bool,
    now: Time,
    segment_bytes: u64,
    log_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { queue_alerts: 1_000, pager_takes: true, now: START, segment_bytes: 64 << 20, log_bytes: 1 << 30 }
    }
}

fn load_rules(text: &str) -> Result<ruleset::Ruleset, String> {
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
    ruleset::load(&files, None, ruleset::Limits::default()).map(|loaded| loaded.ruleset).map_err(|faults| format!("{faults:?}"))
}

async fn start_in(folder: &Path, options: Options) -> House {
    let mut config = Config { data: folder.to_owned(), rules: folder.join("rules"), ..Config::default() };
    config.limits.queue_alerts = options.queue_alerts;
    config.retention.log_bytes = options.log_bytes;
    let (waiting, waits) = mpsc::unbounded_channel();
    let control = Arc::new(Control { mood: Mutex::new(Mood::Well), changed: Condvar::new(), waits: waiting });
    let (sender, sent) = mpsc::unbounded_channel();
    let mut receivers = Receivers::new();
    let pager_takes = Arc::new(AtomicBool::new(options.pager_takes));
    receivers.insert("pager".into(), Arc::new(Pager { takes: pager_takes.clone(), sent: sender }));
    let now = Arc::new(Mutex::new(options.now));
    let (shown, log_folder, metrics) = (now.clone(), folder.join("log"), Arc::new(Metrics::default()));
    let rules = Arc::new(Mutex::new(RULES));
    let text = rules.clone();
    let runtime = start(Parts {
        config: Arc::new(config),
        metrics: metrics.clone(),
        clock: Clock::new(move || {
            let now = *shown.lock().unwrap();
            Reading { wall: now, steady: now.since(START) }
        }),
        disk: MoodyDisk { folder: FolderDisk::open(&log_folder).unwrap(), control: control.clone() },
        read_log: read_log(move || FolderDisk::open_read_only(&log_folder), SkipDamage::default()),
        receivers,
        load: Arc::new(move || load_rules(&text.lock().unwrap()).map(Arc::new)),
        log_options: LogOptions { segment_bytes: options.segment_bytes },
        skip_damage: SkipDamage::default(),
    })
    .await
    .unwrap();
    House { handle: runtime.handle().clone(), runtime, control, waits, sent, pager_takes, metrics, now, rules }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn news(host: u64, severity: &str, status: AlertStatus) -> Input {
    let host_name = format!("h{host}");
    let labels = [("alertname", "DiskFull"), ("host", host_name.as_str()), ("severity", severity)];
    let alert = Alert {
        fingerprint: Fingerprint(host),
        labels: Labels::from_pairs(labels).unwrap(),
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "prometheus".into(),
        starts_at: START,
    };
    let ends_at = (status == AlertStatus::Resolved).then_some(START);
    Input::Alert(News { alert: Arc::new(alert), status, ends_at, lasts: None })
}

fn firing(host: u64) -> Input {
    news(host, "info", AlertStatus::Firing)
}

/// Everything that can be seen of the state, in order.
#[derive(Debug, PartialEq)]
struct Seen {
    alerts: Vec<Arc<AlertRecord>>,
    incidents: Vec<Arc<Incident>>,
    notifications: Vec<Arc<Notification>>,
}

fn seen(handle: &Handle) -> Seen {
    let live = handle.live();
    let mut seen = Seen {
        alerts: live.alerts(|_| true).into_iter().map(|entry| entry.record).collect(),
        incidents: live.incidents(),
        notifications: live.notifications(),
    };
    seen.alerts.sort_by_key(|record| record.alert.fingerprint);
    seen.incidents.sort_by_key(|incident| incident.id);
    seen.notifications.sort_by_key(|notification| notification.id);
    seen
}

/// Polls once.
async fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| std::task::Poll::Ready(Pin::new(&mut *future).poll(context).is_ready())).await
}

#[tokio::test]
async fn nothing_is_answered_or_seen_before_it_is_synced() {
    let folder = folder();
    let mut house = start_in(folder.path(), Options::default()).await;
    let mut listener = house.handle.committed();
    house.control.set(Mood::Waiting);
    let mut answer = Box::pin(house.handle.submit(vec![firing(1)]));
    assert!(!is_ready(&mut answer).await);
    house.waits.recv().await.unwrap();
    assert!(!is_ready(&mut answer).await, "the sync has not returned");
    assert!(seen(&house.handle).alerts.is_empty() && listener.try_recv().is_err());
    house.control.set(Mood::Well);
    assert_eq!(answer.await, Ok(vec![Ok(Answer::New)]));
    assert_eq!(seen(&house.handle).alerts.len(), 1, "who is answered sees what it wrote");
    let commit = listener.recv().await.unwrap();
    assert_eq!(commit.facts[0].kind(), "alert_fired");
    house.runtime.stop().await;
}

#[tokio::test]
async fn a_full_queue_answers_at_once() {
    let folder = folder();
    let mut house = start_in(folder.path(), Options { queue_alerts: 10, ..Options::default() }).await;
    house.control.set(Mood::Waiting);
    let mut first = Box::pin(house.handle.submit((0..10).map(firing).collect()));
    assert!(!is_ready(&mut first).await);
    house.waits.recv().await.unwrap();
    let mut second = Box::pin(house.handle.submit((10..20).map(firing).collect()));
    assert!(!is_ready(&mut second).await, "the queue has room again: the first batch is with the disk");
    assert_eq!(house.handle.submit(vec![firing(20)]).await, Err(SubmitError::Overloaded));
    let by = Actor::Person("ann".into());
    let mut act = Box::pin(house.handle.submit(vec![Input::Act { act: Act::Acknowledge(IncidentId(1)), by }]));
    assert!(!is_ready(&mut act).await, "an act waits, but is not turned away");
    house.control.set(Mood::Well);
    assert_eq!(first.await.unwrap().len(), 10);
    assert_eq!(second.await.unwrap().len(), 10);
    assert_eq!(act.await, Ok(vec![Ok(Answer::Done)]));
    house.runtime.stop().await;
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_by_itself_with_state_and_log_equal() {
    let folder = folder();
    let house = start_in(folder.path(), Options::default()).await;
    house.handle.submit(vec![firing(1)]).await.unwrap();
    let before = seen(&house.handle);
    let mut listener = house.handle.committed();
    house.control.set(Mood::Full);
    for host in [2, 3] {
        let refused = house.handle.submit(vec![firing(host)]).await;
        assert!(matches!(refused, Err(SubmitError::Storage(_))), "{refused:?}");
    }
    assert_eq!(seen(&house.handle), before, "nothing of it is seen");
    assert!(house.handle.status().storage_fault.is_some());
    house.control.set(Mood::Well);
    // The batch that the disk did not take is the state's; the disk gets it first.
    listener.recv().await.unwrap();
    assert_eq!(house.handle.status().storage_fault, None);
    let again = house.handle.submit(vec![firing(2), firing(3)]).await;
    assert_eq!(again, Ok(vec![Ok(Answer::Repeat), Ok(Answer::New)]));
    let after = seen(&house.handle);
    house.runtime.stop().await;
    for file in ["view.db", "view.db-wal", "view.db-shm"] {
        // The last two exist only after a crash.
        drop(std::fs::remove_file(folder.path().join(file)));
    }
    let house = start_in(folder.path(), Options::default()).await;
    assert_eq!(seen(&house.handle), after, "the log alone gives the same state");
    house.runtime.stop().await;
}

/// Rows 7 and 16: whatever the disk does, who is owed a page gets it, once.
#[tokio::test]
async fn a_disk_that_takes_nothing_delays_no_page_that_is_due() {
    for mood in [Mood::Full, Mood::Waiting] {
        let folder = folder();
        let mut house = start_in(folder.path(), Options { pager_takes: false, ..Options::default() }).await;
        let mut listener = house.handle.committed();
        house.handle.submit(vec![news(1, "critical", AlertStatus::Firing)]).await.unwrap();
        let first = house.sent.recv().await.unwrap();
        while seen(&house.handle).notifications[0].state != NotificationState::Failed {
            listener.recv().await.unwrap();
        }
        house.control.set(mood);
        let handle = house.handle.clone();
        let held = tokio::spawn(async move { handle.submit(vec![firing(2)]).await });
        if mood == Mood::Full {
            let refused = held.await.unwrap();
            assert!(matches!(refused, Err(SubmitError::Storage(_))), "{refused:?}");
        } else {
            house.waits.recv().await.unwrap();
        }
        house.pager_takes.store(true, Ordering::SeqCst);
        *house.now.lock().unwrap() = START + Millis::minutes(1);
        let second = house.sent.recv().await.unwrap();
        assert_eq!((&second.id, second.attempts), (&first.id, 1), "{mood:?}");
        assert_eq!(seen(&house.handle).notifications[0].state, NotificationState::Failed, "{mood:?}: not on disk yet");
        house.control.set(Mood::Well);
        while seen(&house.handle).notifications[0].state != NotificationState::Delivered {
            listener.recv().await.unwrap();
        }
        house.runtime.drain().await;
        assert!(house.sent.try_recv().is_err(), "{mood:?}: paged twice");
        house.runtime.stop().await;
    }
}

#[tokio::test]
async fn a_failed_sync_ends_the_engine() {
    let folder = folder();
    let mut house = start_in(folder.path(), Options::default()).await;
    house.control.set(Mood::Broken);
    let refused = house.handle.submit(vec![firing(1)]).await;
    assert!(matches!(&refused, Err(SubmitError::Storage(text)) if text.contains("the device is gone")), "{refused:?}");
    assert!(house.runtime.failed().await.contains("the device is gone"));
    assert_eq!(house.handle.submit(vec![firing(2)]).await, Err(SubmitError::Stopping));
}

#[tokio::test]
async fn what_is_owed_is_sent_after_a_start_under_the_same_id_and_once_delivered_never_again() {
    let folder = folder();
    let mut house = start_in(folder.path(), Options { pager_takes: false, ..Options::default() }).await;
    house.handle.submit(vec![news(1, "critical", AlertStatus::Firing)]).await.unwrap();
    let first = house.sent.recv().await.unwrap();
    let mut listener = house.handle.committed();
    while seen(&house.handle).notifications[0].state != NotificationState::Failed {
        listener.recv().await.unwrap();
    }
    house.runtime.stop().await;

    let mut house = start_in(folder.path(), Options { now: START + Millis::minutes(1), ..Options::default() }).await;
    let second = house.sent.recv().await.unwrap();
    assert_eq!((&second.id, &second.key), (&first.id, &first.key));
    assert_eq!((first.attempts, second.attempts), (0, 1));
    assert_eq!(house.metrics.notification_repeats_total.get(), 1);
    let mut listener = house.handle.committed();
    while seen(&house.handle).notifications[0].state != NotificationState::Delivered {
        listener.recv().await.unwrap();
    }
    house.runtime.stop().await;

    let mut house = start_in(folder.path(), Options { now: START + Millis::minutes(2), ..Options::default() }).await;
    assert_eq!(seen(&house.handle).notifications[0].state, NotificationState::Delivered);
    house.runtime.drain().await;
    assert!(house.sent.try_recv().is_err(), "nobody is paged again");
    house.runtime.stop().await;
}

#[tokio::test]
async fn a_restart_changes_nothing_with_the_view_or_without_it() {
    let folder = folder();
    let house = start_in(folder.path(), Options::default()).await;
    let directory = house.handle.directory().clone();
    for host in 1..=50 {
        house.handle.submit(vec![firing(host)]).await.unwrap();
    }
    house.handle.submit(vec![news(7, "info", AlertStatus::Resolved)]).await.unwrap();
    house.handle.flush_view().await;
    assert_eq!(house.handle.status().view_seq, house.handle.status().seq);
    let before = seen(&house.handle);
    house.runtime.stop().await;
    for view in ["kept", "deleted", "damaged"] {
        let path = folder.path().join("view.db");
        match view {
            "deleted" => std::fs::remove_file(&path).unwrap(),
            "damaged" => std::fs::write(&path, "no database").unwrap(),
            _ => {}
        }
        let house = start_in(folder.path(), Options::default()).await;
        assert_eq!(seen(&house.handle), before, "view {view}");
        assert_eq!(house.handle.directory(), &directory);
        house.runtime.stop().await;
    }
}

/// Returns when the thread has looked after itself once more, and after what it found to do.
async fn beat(house: &House) {
    house.metrics.alerts_firing.set(-1);
    while house.metrics.alerts_firing.get() == -1 {
        house.handle.submit(vec![Input::Tick]).await.unwrap();
    }
    house.handle.submit(vec![Input::Tick]).await.unwrap();
}

#[tokio::test]
async fn an_alert_that_falls_silent_expires_but_not_by_a_restart_nor_by_a_jump_of_the_clock() {
    let folder = folder();
    let house = start_in(folder.path(), Options::default()).await;
    house.handle.submit(vec![firing(1)]).await.unwrap();
    house.runtime.stop().await;
    // A day later: only a full timeout after the start may it expire.
    let later = START + Millis::hours(24);
    let timeout = Config::default().resolve_timeout;
    let house = start_in(folder.path(), Options { now: later, ..Options::default() }).await;
    let set = |time| *house.now.lock().unwrap() = time;
    beat(&house).await;
    assert_eq!(house.handle.live().firing(), 1, "after the start");
    set(later + Millis::hours(2));
    beat(&house).await;
    assert_eq!(house.handle.live().firing(), 1, "after a jump");
    // On from there in steps that are no jump.
    let mut passed = Millis::ZERO;
    while passed < timeout {
        passed = Millis(passed.0 + 59_000).min(timeout);
        assert_eq!(house.handle.live().firing(), 1, "{passed} after the jump");
        set(later + Millis::hours(2) + passed);
        house.handle.submit(vec![Input::Tick]).await.unwrap();
    }
    beat(&house).await;
    assert_eq!(house.handle.live().firing(), 0);
    house.runtime.stop().await;
}

#[tokio::test]
async fn rules_that_do_not_load_change_nothing() {
    let folder = folder();
    let house = start_in(folder.path(), Options::default()).await;
    let (seq, rules) = (house.handle.status().seq, house.metrics.rules.get());
    *house.rules.lock().unwrap() = "escalate: [{ nme: page }]\n";
    let faults = house.handle.reload().await.unwrap_err();
    assert!(faults.contains("nme"), "{faults}");
    assert_eq!(house.metrics.rules_last_reload_successful.get(), 0);
    assert_eq!((house.handle.status().seq, house.metrics.rules.get()), (seq, rules));
    *house.rules.lock().unwrap() = "enrich:\n  - name: tag\n    match: [env=prod]\n    set: { tier: gold }\n";
    house.handle.reload().await.unwrap();
    assert_eq!(house.metrics.rules_last_reload_successful.get(), 1);
    assert!(house.handle.status().seq > seq);
    let recorded = house.handle.events_since(seq, 10).await;
    assert_eq!(recorded[0].facts[0].kind(), "rules_loaded");
    house.runtime.stop().await;
}

/// How long a message lets its alert fire, where its source has another time, is on record: a start knows it, with the view
/// and without.
#[tokio::test]
async fn an_alert_has_its_own_time_after_a_start_as_well() {
    let folder = folder();
    let day = Millis::hours(24);
    let expires =
        |house: &House| [1, 2].map(|host| house.handle.live().alert(Fingerprint(host)).unwrap().expires_at.since(START));
    let house = start_in(folder.path(), Options::default()).await;
    let Input::Alert(own) = firing(1) else { unreachable!() };
    house.handle.submit(vec![Input::Alert(News { lasts: Some(day), ..own }), firing(2)]).await.unwrap();
    let expected = [day, Config::default().resolve_timeout];
    assert_eq!(expires(&house), expected);
    house.runtime.stop().await;
    for view in ["as it was", "built anew"] {
        if view == "built anew" {
            std::fs::remove_file(folder.path().join("view.db")).unwrap();
        }
        let house = start_in(folder.path(), Options::default()).await;
        assert_eq!(expires(&house), expected, "{view}");
        house.runtime.stop().await;
    }
}

/// Whether it loads, the rules, parts of the answer, how often it took effect by then.
type Loading = (bool, &'static str, Result<[&'static str; 2], [&'static str; 2]>, u64);

/// What is loaded besides the rules takes effect with them, or neither does.
#[tokio::test]
async fn what_else_is_loaded_takes_effect_with_the_rules() {
    const OTHER: &str = "enrich:\n  - name: tag\n    match: [env=prod]\n    set: { tier: gold }\n";
    let folder = folder();
    let house = start_in(folder.path(), Options::default()).await;
    let loads = Arc::new(AtomicBool::new(false));
    let (asked, applied) = (loads.clone(), Arc::new(AtomicU64::new(0)));
    let count = applied.clone();
    house.handle.load_on_request(Arc::new(move || {
        if !asked.load(Ordering::Relaxed) {
            return Err("no such thing".to_owned());
        }
        let count = count.clone();
        let apply = move || format!("{} applied", count.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(Loaded { apply: Box::new(apply), waiting: vec!["listen"] })
    }));
    let seq = house.handle.status().seq;
    let steps: [Loading; 4] = [
        (false, OTHER, Err(["no such thing", ""]), 0),
        (true, "escalate: [{ nme: page }]\n", Err(["nme", "`listen` of quell.yaml changed"]), 0),
        (false, "escalate: [{ nme: page }]\n", Err(["no such thing", ""]), 0),
        (true, OTHER, Ok(["rules reloaded", "1 applied"]), 1),
    ];
    for (loads_now, rules, expected, times) in steps {
        loads.store(loads_now, Ordering::Relaxed);
        *house.rules.lock().unwrap() = rules;
        let answer = house.handle.reload().await;
        let parts = |text: &str, parts: [&str; 2]| parts.iter().all(|part| text.contains(part));
        match (&answer, expected) {
            (Ok(text), Ok(expected)) => assert!(parts(text, expected) && text.contains("`listen`"), "{text}"),
            (Err(text), Err(expected)) => assert!(parts(text, expected), "{text}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(applied.load(Ordering::Relaxed), times);
        assert_eq!(house.handle.status().seq > seq, times > 0, "rules are not in force alone");
    }
    house.runtime.stop().await;
}

#[tokio::test]
async fn listeners_catch_up_from_memory_and_from_the_log() {
    let folder = folder();
    let house = start_in(folder.path(), Options::default()).await;
    for host in 1..=5 {
        house.handle.submit(vec![firing(host)]).await.unwrap();
    }
    let last = house.handle.status().seq;
    let facts = |commits: &[Arc<Committed>]| -> Vec<String> {
        let numbered = commits.iter().flat_map(|commit| (commit.first_seq..).zip(commit.facts.iter()));
        numbered.map(|(seq, fact)| format!("{seq} {}", fact.kind())).collect()
    };
    let live = facts(&house.handle.events_since(0, 1_000).await);
    assert_eq!(live.len() as u64, last);
    assert!(house.handle.events_since(last, 10).await.is_empty());
    house.runtime.stop().await;
    let house = start_in(folder.path(), Options::default()).await;
    let read = facts(&house.handle.events_since(0, 1_000).await);
    assert_eq!(read[..live.len()], live, "out of the files");
    assert_eq!(house.handle.events_since(0, 2).await.len(), 2);
    house.runtime.stop().await;
}

/// The view's three files, to and from another place.
fn copy_view(from: &Path, to: &Path) {
    for name in ["view.db", "view.db-wal", "view.db-shm"] {
        drop(std::fs::remove_file(to.join(name)));
        // The last two exist only while somebody has it open.
        drop(std::fs::copy(from.join(name), to.join(name)));
    }
}

#[tokio::test]
async fn a_trimmed_log_begins_with_a_checkpoint_that_is_the_state() {
    let (folder, old) = (folder(), folder());
    let options = |now| Options { now, segment_bytes: 16 << 10, log_bytes: 32 << 10, ..Options::default() };
    let house = start_in(folder.path(), options(START)).await;
    house.handle.submit((1..=20).map(firing).collect()).await.unwrap();
    house.runtime.stop().await;
    copy_view(folder.path(), old.path());
    let house = start_in(folder.path(), options(START)).await;
    let first_seq = || LogFiles::open(FolderDisk::open_read_only(&folder.path().join("log")).unwrap()).unwrap().first_seq();
    let mut now = START;
    // The first time a checkpoint is written; the second time the log can begin with it.
    for (hosts, trimmed) in [(21..=400, false), (401..=800, true)] {
        for host in hosts {
            let severity = if host % 50 == 0 { "critical" } else { "info" };
            house.handle.submit(vec![news(host, severity, AlertStatus::Firing)]).await.unwrap();
        }
        house.handle.submit(vec![news(7, "info", AlertStatus::Resolved)]).await.unwrap();
        house.handle.flush_view().await;
        now = now + Millis::minutes(61);
        *house.now.lock().unwrap() = now;
        beat(&house).await;
        assert_eq!(first_seq() > 400, trimmed, "the log begins at {}", first_seq());
    }
    // Some more behind the checkpoint.
    house.handle.submit(vec![firing(900), news(8, "info", AlertStatus::Resolved)]).await.unwrap();
    while seen(&house.handle).notifications.iter().any(|notification| notification.state.is_owed()) {
        house.handle.submit(vec![Input::Tick]).await.unwrap();
    }
    let before = seen(&house.handle);
    assert!(!before.notifications.is_empty());
    house.runtime.stop().await;
    for view in ["kept", "deleted", "older than the log"] {
        match view {
            "deleted" => copy_view(Path::new("/nowhere"), folder.path()),
            "older than the log" => copy_view(old.path(), folder.path()),
            _ => {}
        }
        let house = start_in(folder.path(), options(now)).await;
        assert!(seen(&house.handle) == before, "view {view}: another state");
        house.handle.flush_view().await;
        assert_eq!(house.handle.status().view_seq, house.handle.status().seq, "view {view}");
        house.runtime.stop().await;
    }
}

#[tokio::test]
async fn a_view_catches_up_to_what_it_would_have_been() {
    let (folder, old) = (folder(), folder());
    let house = start_in(folder.path(), Options::default()).await;
    house.handle.submit((1..=20).map(firing).collect()).await.unwrap();
    house.runtime.stop().await;
    copy_view(folder.path(), old.path());
    let mut house = start_in(folder.path(), Options::default()).await;
    for host in 10..=60 {
        house.handle.submit(vec![news(host, "critical", AlertStatus::Firing)]).await.unwrap();
        house.handle.submit(vec![news(host - 5, "info", AlertStatus::Resolved)]).await.unwrap();
    }
    house.sent.recv().await.unwrap();
    house.handle.flush_view().await;
    let seq = house.handle.status().seq;
    house.runtime.stop().await;
    let log = folder.path().join("log");
    let read = read_log(move || FolderDisk::open_read_only(&log), SkipDamage::default());
    let mut view = View::open(&old.path().join("view.db")).unwrap();
    let mut catch_up = CatchUp::begin(&mut view).unwrap();
    assert!(catch_up.seq() < seq);
    while catch_up.seq() < seq {
        catch_up.step(&mut view, &read, seq).unwrap();
    }
    assert_eq!((catch_up.seq(), view.applied_seq()), (seq, seq), "no further than what is committed");
    catch_up.step(&mut view, &read, seq).unwrap();
    let rows = |folder: &Path| {
        let connection = rusqlite::Connection::open(folder.join("view.db")).unwrap();
        let count = |table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        ["alert", "incident", "notification", "members"].map(|table| count(table).unwrap())
    };
    let entities = |view: &mut View| format!("{:?}", view.state().unwrap().entities().collect::<Vec<_>>());
    let caught_up = entities(&mut view);
    drop(view);
    assert!(caught_up.contains("DiskFull"));
    // The one that followed has what came behind `seq`, too: nothing, for the daemon only stopped.
    assert_eq!(rows(old.path()), rows(folder.path()));
    assert!(caught_up == entities(&mut View::open(&folder.path().join("view.db")).unwrap()), "another state");
}
