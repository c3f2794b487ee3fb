//! What long troubles come to: few pages, one incident.

use super::story::{self, START, Story};
use crate::engine::{Fact, Input, News};
use crate::model::{AlertStatus, IncidentStatus, Millis, NotificationKind};

fn count(story: &Story, test: impl Fn(&Fact) -> bool) -> usize {
    story.facts.iter().filter(|fact| test(fact)).count()
}

fn is_page(fact: &Fact) -> bool {
    matches!(fact, Fact::NotificationQueued { notification } if notification.kind == NotificationKind::Trigger)
}

/// An alert that changes every 30 seconds for 6 hours: one incident, and no more pages than it takes to see that it flaps.
#[test]
fn six_hours_of_flapping_page_no_more_than_the_rule_allows() {
    // Changes that make it flap; pages until then; pages once it has stayed firing for `until_stable`.
    for (changes, pages, afterwards) in [(2, 1, 2), (3, 1, 2), (4, 2, 3), (6, 3, 4)] {
        let rules = format!(
            "suppress: [{{ name: restless, match: ['alertname=\"A\"'], flapping: {{ changes: {changes}, within: 10m, until_stable: 15m }} }}]\n\
             escalate: [{{ name: pager, steps: [{{ notify: [pager] }}], repeat: 10m }}]\n"
        );
        let mut story = Story::new(story::rules(&rules));
        let mut at = START;
        for change in 0..720 {
            at = START + Millis::seconds(30 * change);
            let status = if change % 2 == 0 { AlertStatus::Firing } else { AlertStatus::Resolved };
            story.step(at, Input::Alert(News { alert: story::alert("alertname=A", START), status, ends_at: None }));
        }
        let opened = |story: &Story| count(story, |fact| matches!(fact, Fact::IncidentOpened { .. }));
        assert_eq!((opened(&story), count(&story, is_page)), (1, pages), "{changes} changes");

        at = at + Millis::seconds(30);
        let alert = story::alert("alertname=A", START);
        story.step(at, Input::Alert(News { alert, status: AlertStatus::Firing, ends_at: None }));
        story.step(at + Millis::minutes(15), Input::Tick);
        assert_eq!((opened(&story), count(&story, is_page)), (1, afterwards), "{changes} changes");
        let incident = story.engine.state().incidents().next().unwrap();
        assert_eq!(incident.status, IncidentStatus::Open, "it fires, and is stable");
    }
}

/// Nobody counts what no rule wants counted, and what is counted stays within the rule's own number.
#[test]
fn changes_are_kept_for_rules_alone_and_are_few() {
    let rules =
        "suppress: [{ name: restless, match: ['alertname=\"A\"'], flapping: { changes: 5, within: 1h, until_stable: 1h } }]\n";
    let mut story = Story::new(story::rules(rules));
    for change in 0..40 {
        let at = START + Millis::seconds(change);
        let status = if change % 2 == 0 { AlertStatus::Firing } else { AlertStatus::Resolved };
        for name in ["alertname=A", "alertname=B"] {
            story.step(at, Input::Alert(News { alert: story::alert(name, START), status, ends_at: None }));
        }
    }
    let kept = |name| {
        let record = story.engine.state().alert(story::alert(name, START).fingerprint).unwrap();
        record.flaps.as_ref().map(|flaps| (flaps.changes.len(), flaps.spells.len()))
    };
    assert_eq!((kept("alertname=A"), kept("alertname=B")), (Some((5, 1)), None));
}
