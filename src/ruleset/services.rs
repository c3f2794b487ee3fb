//! The service catalogue: what depends on what, how much it matters, whose it is.
//!
//! Who is near whom is worked out once, at load, so that an alert looks at its own service's list and at nothing else, however
//! large the catalogue is. Never decides what being near means for an alert.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::suggest::nearest;
use crate::model::RuleRef;

/// Services near one service that count. A hub that everything depends on makes nothing of it the same trouble.
const NEAR_MAX: usize = 256;
/// Circles that are told of.
const CIRCLES_MAX: usize = 20;

/// One entry of the catalogue.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name and place.
    pub rule: RuleRef,
    /// 1 is the most critical.
    pub tier: Option<u8>,
    pub team: Option<Arc<str>>,
    pub depends_on: Vec<Arc<str>>,
    /// Where it stands what to do; for people.
    pub runbook: Option<Arc<str>>,
}

/// A name and how many hops it is away.
type Near = (Arc<str>, u8);

/// All services, and which are near each other.
#[derive(Debug, Default)]
pub struct Catalogue {
    services: Vec<Service>,
    by_name: FxHashMap<Arc<str>, usize>,
    /// For each name, whether it has an entry or is only depended on: the names within the hops of the farthest-looking
    /// rule, nearest first, each with its hops.
    near: FxHashMap<Arc<str>, Box<[Near]>>,
    /// For each name that is depended on, those that do.
    callers: FxHashMap<Arc<str>, Vec<Arc<str>>>,
    /// Names whose list was cut off.
    crowded: Vec<Arc<str>>,
}

impl Catalogue {
    /// Adds an entry, unless one of its name is there.
    pub(super) fn push(&mut self, service: Service) {
        let name = service.rule.name.clone();
        if !self.by_name.contains_key(&name) {
            self.by_name.insert(name, self.services.len());
            self.services.push(service);
        }
    }

    /// The entry of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.by_name.get(name).map(|place| &self.services[*place])
    }

    /// All entries, in order.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The names within so many hops of a service, without its own, nearest first.
    pub fn near(&self, name: &str, hops: u8) -> impl Iterator<Item = &Arc<str>> {
        let near = self.near.get(name).into_iter().flat_map(|near| near.iter());
        near.take_while(move |(_, away)| *away <= hops).map(|(name, _)| name)
    }

    /// What a service depends on.
    #[must_use]
    pub fn depends_on(&self, name: &str) -> &[Arc<str>] {
        self.get(name).map_or(&[], |service| &service.depends_on)
    }

    /// The services that depend on one, in order of their entries.
    #[must_use]
    pub fn callers(&self, name: &str) -> &[Arc<str>] {
        self.callers.get(name).map_or(&[], Vec::as_slice)
    }

    /// Works out who depends on whom, and who is near whom, up to so many hops; for the latter, edges count in either direction.
    pub(super) fn work_out(&mut self, hops: u8) {
        self.callers = self.callers_by_name();
        let edges = self.edges();
        self.near.clear();
        self.crowded.clear();
        if hops == 0 {
            return;
        }
        for name in self.names() {
            let (near, cut) = walk(&edges, &name, hops);
            if cut {
                self.crowded.push(name.clone());
            }
            self.near.insert(name, near.into());
        }
    }

    /// Every name, with or without an entry, in order of first mention.
    fn names(&self) -> Vec<Arc<str>> {
        let mut seen = FxHashSet::default();
        let all = self.services.iter().flat_map(|service| std::iter::once(&service.rule.name).chain(&service.depends_on));
        all.filter(|name| seen.insert(Arc::clone(name))).cloned().collect()
    }

    fn callers_by_name(&self) -> FxHashMap<Arc<str>, Vec<Arc<str>>> {
        let mut callers: FxHashMap<Arc<str>, Vec<Arc<str>>> = FxHashMap::default();
        for service in &self.services {
            for other in &service.depends_on {
                let of_it = callers.entry(other.clone()).or_default();
                // A dependency named twice is one.
                if of_it.last() != Some(&service.rule.name) {
                    of_it.push(service.rule.name.clone());
                }
            }
        }
        callers
    }

    fn edges(&self) -> FxHashMap<Arc<str>, Vec<Arc<str>>> {
        let mut edges: FxHashMap<Arc<str>, Vec<Arc<str>>> = FxHashMap::default();
        for service in &self.services {
            for other in &service.depends_on {
                edges.entry(service.rule.name.clone()).or_default().push(other.clone());
                edges.entry(other.clone()).or_default().push(service.rule.name.clone());
            }
        }
        edges
    }

    /// What is worth a warning: the entry, what is the matter, what to do.
    pub(super) fn doubts(&self) -> Vec<(&RuleRef, Doubt, String, String)> {
        let mut found = Vec::new();
        let names: Vec<&str> = self.services.iter().map(|service| &*service.rule.name).collect();
        for service in &self.services {
            for other in service.depends_on.iter().filter(|other| !self.by_name.contains_key(*other)) {
                let message = format!("`{}` depends on `{other}`, which the catalogue does not have", service.rule.name);
                let hint = match nearest(other, &names) {
                    Some(near) => format!("did you mean `{near}`? As it stands it is a service without tier and team"),
                    None => "as it stands it is a service without tier and team".to_owned(),
                };
                found.push((&service.rule, Doubt::Unknown, message, hint));
            }
        }
        for circle in self.circles() {
            let way = circle.iter().map(|place| format!("`{}`", names[*place])).collect::<Vec<_>>().join(", ");
            let message = format!("services depend on each other in a circle: {way}");
            found.push((&self.services[circle[0]].rule, Doubt::Circle, message, String::new()));
        }
        for name in &self.crowded {
            if let Some(service) = self.get(name) {
                let message = format!("`{name}` has more than {NEAR_MAX} services near it; only the nearest {NEAR_MAX} count");
                found.push((&service.rule, Doubt::Crowded, message, "look fewer hops far".to_owned()));
            }
        }
        found
    }

    /// Circles of dependencies, each from its first entry on. By hand and not by recursion: a chain may be as long as the
    /// catalogue.
    fn circles(&self) -> Vec<Vec<usize>> {
        let next =
            |place: usize, child: usize| self.services[place].depends_on.get(child).map(|name| self.by_name.get(name).copied());
        let (mut circles, mut done) = (Vec::new(), vec![false; self.services.len()]);
        let mut on_path = vec![false; self.services.len()];
        for start in 0..self.services.len() {
            // Each entry on the way, with which of its dependencies is looked at next.
            let mut path: Vec<(usize, usize)> = if done[start] { Vec::new() } else { vec![(start, 0)] };
            while let Some((place, child)) = path.last_mut() {
                let (here, dependency) = (*place, next(*place, *child));
                on_path[here] = true;
                *child += 1;
                match dependency {
                    None => {
                        on_path[here] = false;
                        done[here] = true;
                        path.pop();
                    }
                    Some(Some(other)) if on_path[other] => {
                        let from = path.iter().position(|(place, _)| *place == other).unwrap_or(0);
                        if circles.len() < CIRCLES_MAX {
                            circles.push(path[from..].iter().map(|(place, _)| *place).chain([other]).collect());
                        }
                    }
                    Some(Some(other)) if !done[other] => path.push((other, 0)),
                    Some(_) => {}
                }
            }
        }
        circles
    }
}

/// What may be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    Unknown,
    Circle,
    Crowded,
}

/// The names around one, nearest first, and whether there were too many.
fn walk(edges: &FxHashMap<Arc<str>, Vec<Arc<str>>>, from: &Arc<str>, hops: u8) -> (Vec<Near>, bool) {
    let mut seen: FxHashSet<&Arc<str>> = FxHashSet::from_iter([from]);
    let mut queue: VecDeque<(&Arc<str>, u8)> = VecDeque::from([(from, 0)]);
    let mut near = Vec::new();
    while let Some((name, away)) = queue.pop_front() {
        if away == hops {
            continue;
        }
        for other in edges.get(name).into_iter().flatten() {
            if seen.insert(other) {
                if near.len() == NEAR_MAX {
                    return (near, true);
                }
                near.push((other.clone(), away + 1));
                queue.push_back((other, away + 1));
            }
        }
    }
    (near, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(edges: &[(&str, &[&str])], hops: u8) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (name, depends_on) in edges {
            let depends_on = depends_on.iter().map(|name| (*name).into()).collect();
            let rule = RuleRef::built_in(name);
            catalogue.push(Service { rule, tier: None, team: None, depends_on, runbook: None });
        }
        catalogue.work_out(hops);
        catalogue
    }

    #[test]
    fn hops_count_in_either_direction() {
        let all = catalogue(&[("web", &["cart", "auth"]), ("cart", &["db"]), ("mail", &["auth"]), ("db", &["disk"])], 3);
        let near = |name: &str, hops| all.near(name, hops).map(|name| &**name).collect::<Vec<_>>().join(" ");
        assert_eq!(near("web", 1), "cart auth");
        assert_eq!(near("web", 2), "cart auth db mail");
        assert_eq!(near("web", 3), "cart auth db mail disk");
        assert_eq!(near("mail", 2), "auth web", "two services under one dependency are two hops apart");
        assert_eq!(near("disk", 1), "db", "one without an entry of its own");
        assert_eq!((near("none", 3), near("web", 0)), (String::new(), String::new()));
    }

    #[test]
    fn circles_are_found_and_harm_nothing() {
        let all = catalogue(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &["a"]), ("d", &["d"]), ("e", &["a"])], 2);
        assert_eq!(all.circles(), [vec![0, 1, 2, 0], vec![3, 3]]);
        assert_eq!(all.near("a", 1).count(), 3);
        let long: Vec<(String, String)> = (0..20_000).map(|i| (format!("s{i}"), format!("s{}", (i + 1) % 20_000))).collect();
        let mut catalogue = Catalogue::default();
        for (name, other) in &long {
            let rule = RuleRef::built_in(name);
            let depends_on = vec![other.as_str().into()];
            catalogue.push(Service { rule, tier: None, team: None, depends_on, runbook: None });
        }
        assert_eq!(catalogue.circles()[0].len(), 20_001);
    }

    #[test]
    fn a_hub_has_its_limit() {
        let names: Vec<String> = (0..300).map(|i| format!("s{i}")).collect();
        let edges: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &["hub"][..])).collect();
        let all = catalogue(&edges, 2);
        assert_eq!((all.near("s7", 1).count(), all.near("s7", 2).count(), all.near("hub", 1).count()), (1, 256, 256));
        assert_eq!(all.crowded.len(), 301);
    }
}
