//! What looking for causes costs: nothing where there is nothing to find, and little where there is much.

use super::story::{self, START, Story};
use crate::engine::{Fact, Input, News};
use crate::model::{AlertStatus, Millis};

const SHOP: &str = "
services: [{ name: web, depends_on: [cart] }, { name: cart, depends_on: [cart-db] }]
correlate: [{ name: all, window: 4h }]
";

fn fire(story: &mut Story, after: Millis, labels: &str) -> Vec<Fact> {
    let at = START + after;
    let news = News { alert: story::alert(labels, at), status: AlertStatus::Firing, ends_at: None, lasts: None };
    story.step(at, Input::Alert(news))
}

fn about_causes(facts: &[Fact]) -> usize {
    let about = |fact: &&Fact| matches!(fact, Fact::IncidentCausesPlanned { .. } | Fact::IncidentCausesFound { .. });
    facts.iter().filter(about).count()
}

#[test]
fn one_service_in_a_site_without_a_catalogue_costs_nothing() {
    let rules = "correlate: [{ name: all }]\n";
    // What comes, and whether causes are looked for.
    let cases: [(&[&str], bool); 4] = [
        (&["alertname=A host=a", "alertname=A host=b"], false),
        (&["alertname=A service=cart", "alertname=B service=cart"], false),
        (&["alertname=A service=cart", "alertname=B service=web"], true),
        (&["change deploy 5m service=other", "alertname=A service=cart"], true),
    ];
    for (script, expected) in cases {
        let mut story = Story::new(story::rules(rules));
        for line in script {
            match line.strip_prefix("change ") {
                Some(_) => drop(story.step(START, Story::input(line, START))),
                None => drop(fire(&mut story, Millis::ZERO, line)),
            }
        }
        story.step(START + Millis::hours(1), Input::Tick);
        assert_eq!(about_causes(&story.facts) > 0, expected, "{script:?}");
    }
}

/// A thousand alerts, one each ten seconds: looked at some twelve times, each of them at most two facts.
#[test]
fn looks_become_ever_more_seldom() {
    let mut story = Story::new(story::rules(SHOP));
    for number in 0..1_000 {
        let service = ["web", "cart", "cart-db"][number % 3];
        fire(
            &mut story,
            Millis::seconds(10 * i64::try_from(number).unwrap()),
            &format!("alertname=A service={service} n={number}"),
        );
    }
    let facts = about_causes(&story.facts);
    assert!((16..=40).contains(&facts), "{facts}");
    let incident = story.engine.state().incidents().next().unwrap();
    assert_eq!((incident.alerts_total, &*incident.causes()[0].entity), (1_000, "service/cart-db"));
    assert!(incident.causes().len() <= crate::model::cause::CAUSES_MAX);
}

/// Many things: those are weighed that others are part of, and the first; a flood is looked at once.
#[test]
fn a_flood_is_looked_at_once() {
    let mut story = Story::new(story::rules(SHOP));
    for number in 0..20_100 {
        let labels = format!("alertname=TargetDown node=n{} cluster=eu1 pod=p{number}", number % 3_000);
        fire(&mut story, Millis::ZERO, &labels);
    }
    fire(&mut story, Millis::seconds(1), "alertname=ControlPlaneDown cluster=eu1 severity=critical");
    story.step(START + Millis::seconds(10), Input::Tick);
    let incident = story.engine.state().incidents().next().unwrap();
    assert_eq!(&*incident.causes()[0].entity, "cluster/eu1");
    let before = about_causes(&story.facts);
    fire(&mut story, Millis::minutes(5), "alertname=A service=web");
    story.step(START + Millis::hours(1), Input::Tick);
    assert_eq!(about_causes(&story.facts), before);
}
