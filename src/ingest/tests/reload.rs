//! Other sources while running: what takes effect, and what goes on.

use std::collections::BTreeMap;

use super::{Setup, block_on};
use crate::config::load_text;
use crate::model::Millis;
use crate::runtime::sources::{Replayed, Sources};

const BEFORE: &str = r#"
sources:
  - { name: jobs, format: generic, token: "an old token", map: { labels: { alertname: "{{ body.job }}", host: "{{ body.hostname }}" } } }
  - { name: kuma, format: uptime-kuma }
  - { name: gone, format: alertmanager }
"#;

/// Reloads; an error is what is wrong.
pub(super) fn reload(setup: &Setup, seconds: i64, yaml: &str) -> Result<(), String> {
    setup.engine.set_now(super::T0 + Millis::seconds(seconds));
    let (mut config, _) = load_text("test.yaml", yaml, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    config.data = setup.folder.path().to_owned();
    let prepared = setup.state.prepare(config).map_err(|error| error.to_string())?;
    setup.state.replace_sources(prepared);
    Ok(())
}

fn post(setup: &Setup, seconds: i64, token: &str, body: &str) -> u16 {
    setup.post(seconds, &format!("/v1/ingest/jobs/{token}"), body).0
}

#[test]
fn a_mapping_is_mended_while_running() {
    let setup = Setup::new(BEFORE);
    let body = r#"{"job":"a","host":"x"}"#;
    assert_eq!(post(&setup, 0, "an%20old%20token", body), 202);
    let after = BEFORE.replace("hostname", "host").replace("an old token", "a new token");
    reload(&setup, 10, &after).unwrap();
    assert_eq!(post(&setup, 20, "an%20old%20token", body), 401);
    assert_eq!(post(&setup, 20, "a%20new%20token", r#"{"job":"b","host":"x"}"#), 200);
    let id = setup.state.rejects()[0].id.clone();
    let replayed = block_on(setup.state.replay(vec![id])).unwrap().remove(0).1;
    assert_eq!(replayed, Replayed::Taken { new: 1, repeats: 0 });
    // What tokens were is masked as what they are.
    assert_eq!(post(&setup, 30, "a%20new%20token", r#"{"key":"an old token","other":"a new token"}"#), 202);
    let id = setup.state.rejects()[0].id.clone();
    let kept = block_on(setup.state.body(id)).unwrap().unwrap();
    assert_eq!(kept, r#"{"key":"[masked]","other":"[masked]"}"#);
}

#[test]
fn what_does_not_load_changes_nothing() {
    let setup = Setup::new(BEFORE);
    let error = reload(&setup, 10, &BEFORE.replace("{{ body.job }}", "{{ body.job ")).unwrap_err();
    assert!(error.contains("alertname"), "{error}");
    assert_eq!(post(&setup, 20, "an%20old%20token", r#"{"job":"a","hostname":"x"}"#), 200);
}

#[test]
fn sources_come_and_go() {
    let setup = Setup::new(BEFORE);
    let webhook = r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}"#;
    assert_eq!(setup.post(0, "/v1/ingest/gone", webhook).0, 200);
    let test = r#"{"heartbeat":null,"monitor":null,"msg":"test"}"#;
    assert_eq!(setup.post(0, "/v1/ingest/kuma", test).0, 202);
    assert_eq!(setup.post(0, "/v1/ingest/more", webhook).0, 404);
    assert_eq!(setup.known(), [r#"{alertname="A"} firing from 0 expires never"#]);

    let after = BEFORE.replace("name: gone", "name: more").replace("uptime-kuma }", "uptime-kuma, silent_after: 1h }");
    reload(&setup, 60, &after).unwrap();
    assert_eq!(setup.post(60, "/v1/ingest/gone", webhook).0, 404);
    // Nobody says any more that it is over, so it ends by the time of all others, as after a start.
    assert_eq!(setup.known(), [r#"{alertname="A"} firing from 0 expires 360"#]);
    assert_eq!(setup.post(60, "/v1/ingest/more", &webhook.replace("\"A\"", "\"B\"")).0, 200);
    assert_eq!((setup.engine.live.firing_of("gone"), setup.engine.live.firing_of("more")), (1, 1));
    let statuses = setup.state.statuses();
    let kuma = statuses.iter().find(|it| it.name == "kuma").unwrap();
    assert_eq!((kuma.tests, kuma.silent_after), (1, Some(Millis::hours(1))), "what was watched goes on");
    assert!(kuma.heard_at.is_some() && !kuma.silent);

    // An end of its own for what had none, and then none again.
    let timed = |by: &str| after.replace("name: more, format: alertmanager", &format!("name: more, format: alertmanager{by}"));
    let b = |setup: &Setup| setup.known().into_iter().find(|line| line.contains("\"B\"")).unwrap();
    for (second, by, expires) in [(100, ", resolve_after: 2h", "7300"), (200, ", resolve_after: 2h", "7300"), (300, "", "never")]
    {
        reload(&setup, second, &timed(by)).unwrap();
        assert_eq!(b(&setup), format!("{{alertname=\"B\"}} firing from 60 expires {expires}"), "{second}");
    }
}
