//! The event stream: live, resumed, slow, silent, ended, too many.

use super::*;
use crate::api::state::EVENT_STREAMS_MAX;

/// A record of `count` facts from `first_seq` on.
fn committed(first_seq: u64, count: u64) -> Arc<Committed> {
    let facts: Vec<Fact> = (0..count).map(|n| Fact::IncidentWithoutPolicy { incident: IncidentId(first_seq + n) }).collect();
    Arc::new(Committed { first_seq, time: NOW, facts: facts.into() })
}

/// Reads a stream until it holds `count` events or ends; gives `id event` of each.
async fn read_events(body: &mut Body, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.matches("\ndata: ").count() < count {
        let Some(frame) = body.frame().await else { break };
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    text.split("\n\n").filter_map(|e| Some(format!("{} {}", field(e, "id: ")?, field(e, "event: ")?))).collect()
}

async fn open_stream(site: &Site, since: Option<&str>) -> Body {
    let request = since.into_iter().fold(Request::get("/v1/events"), |request, id| request.header("last-event-id", id));
    let response = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    let mut body = response.into_body();
    // The greeting is written once the stream listens.
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ": quell\n\n");
    body
}

const FACT: &str = "incident_without_policy";

#[tokio::test]
async fn events_come_live_and_resume_out_of_the_log() {
    let site = Site::new(|_, fake| fake.log = Mutex::new(vec![committed(1, 2), committed(3, 2)]));
    let mut live = open_stream(&site, None).await;
    let mut resumed = open_stream(&site, Some("2")).await;
    let mut halfway = open_stream(&site, Some("3")).await;
    assert_eq!(read_events(&mut resumed, 2).await, [format!("3 {FACT}"), format!("4 {FACT}")]);
    assert_eq!(read_events(&mut halfway, 1).await, [format!("4 {FACT}")]);
    site.fake.committed.send(committed(5, 1)).unwrap();
    for stream in [&mut live, &mut resumed, &mut halfway] {
        assert_eq!(read_events(stream, 1).await, [format!("5 {FACT}")]);
    }
}

#[tokio::test]
async fn what_the_log_no_longer_holds_is_named() {
    let site = Site::new(|_, fake| fake.log = Mutex::new(vec![committed(8, 1)]));
    let mut stream = open_stream(&site, Some("2")).await;
    assert_eq!(read_events(&mut stream, 2).await, ["7 gap".to_owned(), format!("8 {FACT}")]);
}

#[tokio::test]
async fn a_slow_listener_is_put_back_onto_the_log() {
    let site = Site::new(|_, _| {});
    let mut stream = open_stream(&site, Some("0")).await;
    // Many more than the channel holds, committed before the stream's task runs again.
    for seq in 1..=40 {
        site.fake.log.lock().unwrap().push(committed(seq, 1));
        site.fake.committed.send(committed(seq, 1)).unwrap();
    }
    let expected: Vec<String> = (1..=40).map(|seq| format!("{seq} {FACT}")).collect();
    assert_eq!(read_events(&mut stream, 40).await, expected);
}

#[tokio::test]
async fn silent_streams_are_kept_awake() {
    let site = Site::with_silence(Duration::from_millis(1), |_, _| {});
    let mut stream = open_stream(&site, None).await;
    for _ in 0..3 {
        assert_eq!(stream.frame().await.unwrap().unwrap().into_data().unwrap(), ": awake\n\n");
    }
}

#[tokio::test]
async fn streams_end_when_the_daemon_stops() {
    let site = Site::new(|_, _| {});
    let mut stream = open_stream(&site, None).await;
    site.fake.shutdown.trigger();
    assert!(stream.frame().await.is_none());
}

#[tokio::test]
async fn event_streams_are_limited() {
    let site = Site::new(|_, _| {});
    let mut open = Vec::new();
    for _ in 0..EVENT_STREAMS_MAX {
        open.push(open_stream(&site, None).await);
    }
    let (status, body) = site.get("/v1/events").await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (429, &json!("overloaded")));
    // One that leaves makes room.
    open.pop();
    while site.send(Request::get("/v1/events").body(Body::empty()).unwrap()).await.status() != 200 {
        tokio::task::yield_now().await;
    }
}
