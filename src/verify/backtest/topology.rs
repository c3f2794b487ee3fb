//! A site's inventory as a rule file: what it says of services, and of where they run, becomes entries of the catalogue.
//!
//! A service is an entry under its own name. Where the inventory says in which clusters it runs, it is one in each of them,
//! too: `cart@eu1`, which depends on the hosts of its pods there and on what it calls. It calls a service of its own cluster, else
//! of its region, else wherever that one is. `cart@eu`, what a probe of the region sees, depends on those in the region's
//! clusters. A host depends on its rack, by its own name and as `host/…`. What is not the site's own is `external/…`. Planned maintenance becomes silences, because at the site somebody would have set them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{MatchOp, Matcher, Millis, Silence, SilenceId, Time};
use crate::ruleset::SourceFile;

/// What an inventory says, as far as the catalogue has a place for it.
#[derive(Deserialize)]
struct Inventory {
    services: BTreeMap<String, Service>,
    #[serde(default)]
    clusters: BTreeMap<String, Cluster>,
    /// The rack of each host.
    #[serde(default)]
    racks: BTreeMap<String, String>,
    /// Services of others that ours depend on.
    #[serde(default)]
    externals: BTreeSet<String>,
    #[serde(default)]
    maintenance: Vec<Window>,
}

#[derive(Deserialize)]
struct Window {
    from: String,
    to: String,
    hosts: Vec<String>,
    #[serde(default)]
    reason: String,
}

/// What a site's inventory says.
#[derive(Debug)]
pub struct Read {
    /// Entries of the catalogue; an empty text where there are none.
    pub rules: SourceFile,
    /// Planned maintenance.
    pub silences: Vec<Silence>,
}

/// A silence lasts so much longer than what was planned: what was switched on again needs a while.
const GRACE: Millis = Millis::minutes(5);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    tier: Option<u8>,
    team: Option<String>,
    #[serde(default)]
    depends_on: Vec<Dependency>,
    #[serde(default)]
    clusters: Vec<String>,
    /// By cluster.
    #[serde(default)]
    pods: BTreeMap<String, Vec<Pod>>,
}

#[derive(Deserialize)]
struct Dependency {
    service: String,
}

#[derive(Deserialize)]
struct Cluster {
    region: String,
}

#[derive(Deserialize)]
struct Pod {
    host: String,
}

/// Reads an inventory: `{"services":{"cart":{"tier":1,"team":"shop","dependsOn":[{"service":"cart-db"}]}}}`, and besides
/// `clusters` and `pods` of a service, `clusters` with their `region`, `racks` of hosts, `externals` (services of others), and `maintenance` of hosts, which alerts name by `node`. What else it has
/// is passed over.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(source: &SourceFile) -> Result<Read, String> {
    let inventory: Inventory = serde_json::from_str(&source.text).map_err(|error| format!("{}: {error}", source.name))?;
    let plain = inventory.services.iter().map(|(name, service)| {
        entry(name, Some(service), &service.depends_on.iter().map(|it| inventory.name_of(&it.service)).collect())
    });
    let hosts = inventory.racks.iter().map(|(host, rack)| entry(host, None, &BTreeSet::from([rack.clone()])));
    // Once more by the names under which causes have them.
    let named = |host: &String, rack: &String| entry(&format!("host/{host}"), None, &BTreeSet::from([format!("rack/{rack}")]));
    let hosts = hosts.chain(inventory.racks.iter().map(|(host, rack)| named(host, rack)));
    let entries: Vec<Value> = plain.chain(inventory.placed()).chain(inventory.fronts()).chain(hosts).collect();
    // JSON is YAML, so that the usual reader takes it, with its limits and its words.
    let text = if entries.is_empty() { String::new() } else { json!({ "services": entries }).to_string() };
    let silences = inventory.maintenance.iter().zip(1..).map(|(window, number)| window.silence(number));
    let silences = silences.collect::<Result<_, _>>().map_err(|fault| format!("{}: {fault}", source.name))?;
    Ok(Read { rules: SourceFile { name: source.name.clone(), text }, silences })
}

impl Window {
    fn silence(&self, number: u128) -> Result<Silence, String> {
        let time = |text: &str| Time::parse_rfc3339(text).ok_or_else(|| format!("maintenance: {text:?} is no RFC 3339 time"));
        let hosts: Vec<String> = self.hosts.iter().map(|host| regex::escape(host)).collect();
        let matcher = Matcher::new("node", MatchOp::Matches, &hosts.join("|"))?;
        let starts_at = time(&self.from)?;
        Ok(Silence {
            id: SilenceId(number),
            matchers: vec![matcher],
            starts_at,
            ends_at: time(&self.to)?.max(starts_at) + GRACE,
            updated_at: starts_at,
            created_by: "inventory".into(),
            comment: self.reason.as_str().into(),
        })
    }
}

impl Inventory {
    /// The services in each of their clusters.
    fn placed(&self) -> impl Iterator<Item = Value> + '_ {
        self.services.iter().flat_map(move |(name, service)| {
            service.clusters.iter().map(move |cluster| {
                let called = service.depends_on.iter().flat_map(|it| self.called(&it.service, cluster));
                let hosts = service.pods.get(cluster).into_iter().flatten().map(|pod| pod.host.clone());
                entry(&at(name, cluster), Some(service), &called.chain(hosts).collect())
            })
        })
    }

    /// The services as they are seen in each region.
    fn fronts(&self) -> impl Iterator<Item = Value> + '_ {
        self.services.iter().flat_map(move |(name, service)| {
            let mut regions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
            for cluster in &service.clusters {
                if let Some(region) = self.region(cluster) {
                    regions.entry(region).or_default().insert(at(name, cluster));
                }
            }
            regions.into_iter().map(move |(region, behind)| entry(&at(name, region), Some(service), &behind))
        })
    }

    /// Which of a service are called from a cluster.
    fn called(&self, name: &str, from: &str) -> Vec<String> {
        let Some(service) = self.services.get(name).filter(|service| !service.clusters.is_empty()) else {
            return vec![name.to_owned()];
        };
        let near = |test: &dyn Fn(&str) -> bool| -> Vec<String> {
            service.clusters.iter().filter(|cluster| test(cluster)).map(|cluster| at(name, cluster)).collect()
        };
        let same = near(&|cluster| cluster == from);
        let region = || near(&|cluster| self.region(cluster).is_some() && self.region(cluster) == self.region(from));
        [same, region()].into_iter().find(|found| !found.is_empty()).unwrap_or_else(|| near(&|_| true))
    }

    /// What a service depends on by itself, and not in one of its clusters: what is not ours says so, and alone is a cause.
    fn name_of(&self, service: &str) -> String {
        if self.externals.contains(service) { format!("external/{service}") } else { service.to_owned() }
    }

    fn region(&self, cluster: &str) -> Option<&str> {
        self.clusters.get(cluster).map(|cluster| &*cluster.region)
    }
}

fn at(name: &str, place: &str) -> String {
    format!("{name}@{place}")
}

fn entry(name: &str, service: Option<&Service>, depends_on: &BTreeSet<String>) -> Value {
    let mut entry = json!({ "name": name });
    if let Some(tier) = service.and_then(|service| service.tier) {
        entry["tier"] = json!(tier);
    }
    if let Some(team) = service.and_then(|service| service.team.as_ref()) {
        entry["team"] = json!(team);
    }
    if !depends_on.is_empty() {
        entry["depends_on"] = json!(depends_on);
    }
    entry
}
