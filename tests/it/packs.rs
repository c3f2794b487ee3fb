//! The shipped rule packs: they load without a word, keep to themselves, and classify what monitoring tools really send.
//!
//! Two lists of alert names: one of our own, which always runs, and the public rule books, whose licences do not let us carry
//! them. For the second put them at `../shared/data` beside the repository, or name the folder in `QUELL_DATA`.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quell::engine::{Engine, EngineOptions, Input, News, State};
use quell::model::{Alert, AlertStatus, Labels, Time};
use quell::ruleset::{self, Limits, Ruleset, SourceFile};

/// What of the books' names must find a category and a subcategory.
const SHARE_MIN: f64 = 0.95;

/// Comes before the packs, so that each name opens an incident of its own, also those that the packs drop.
const EACH_ALONE: &str = "correlate:\n  - name: each-alone\n    by: [alertname]\n";

/// Sections that a pack may have. Who is told, and how much a thing matters, differs from site to site; labels are theirs, too.
const SECTIONS: [&str; 3] = ["suppress", "correlate", "classify"];

/// Subcategories of each category, as `docs/packs.md` lists them.
const SUBCATEGORIES: [(&str, &str); 11] = [
    ("application", "availability crash dependency error_rate job_failed latency queue resources"),
    ("business", "data_quality orders partner payments sla"),
    ("database", "availability capacity connections locks replication slow_query"),
    ("facility", "access cooling fire power water"),
    (
        "monitoring",
        "collector_down configuration heartbeat_missed ingestion notification query rule_evaluation source_silent storage",
    ),
    ("network", "device dhcp dns firewall latency link load_balancer routing traffic vpn wireless"),
    (
        "platform",
        "certificate cloud_quota cloud_service coordination deployment kubernetes licence orchestration secrets virtualisation",
    ),
    ("security", "access data_loss ddos intrusion malware vulnerability"),
    ("server", "cpu disk hardware memory power process temperature time_sync unreachable"),
    ("storage", "backup capacity io raid snapshot"),
    ("user_service", "email identity printing telephony"),
];

#[test]
fn each_pack_alone_and_all_together_are_accepted_without_a_warning() {
    let packs = packs();
    assert!(packs.len() >= 6, "only {} packs", packs.len());
    for pack in &packs {
        load(std::slice::from_ref(pack));
    }
    load(&packs);
    // Behind the packs as well as before them: no name is taken twice.
    let example = repository().join("docs/example-rules.yaml");
    for order in [[&packs[..], &read(&example)[..]], [&read(&example)[..], &packs[..]]] {
        load(&order.concat());
    }
}

#[test]
fn packs_keep_to_themselves() {
    for pack in packs() {
        let stem = Path::new(&pack.name).file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(pack.text.starts_with("# "), "{}: does not say what it is for", pack.name);
        for line in pack.text.lines().filter(|line| !line.starts_with([' ', '#']) && !line.is_empty()) {
            assert!(SECTIONS.iter().any(|section| line == format!("{section}:")), "{}: a pack has no section {line}", pack.name);
        }
        // Names are unique over all files, so a plain one would collide with a site's own rule sooner or later.
        for name in pack.text.lines().filter_map(|line| line.strip_prefix("  - name: ")) {
            assert!(name.starts_with(&format!("{stem}-")), "{}: the rule `{name}` should be `{stem}-…`", pack.name);
        }
        assert!(repository().join(format!("rules/{stem}.test.yaml")).exists(), "{}: has no tests", pack.name);
    }
}

#[test]
fn packs_name_both_category_and_subcategory_from_the_list() {
    let known: BTreeSet<(&str, &str)> =
        SUBCATEGORIES.iter().flat_map(|(category, subs)| subs.split(' ').map(move |sub| (*category, sub))).collect();
    let rules = load(&packs());
    let mut used = BTreeSet::new();
    for rule in rules.classify.iter().filter(|rule| rule.rule.line > 0) {
        let (Some(category), Some(subcategory)) = (&rule.category, &rule.subcategory) else {
            panic!("{}: names one without the other, which another rule's would be mixed with", rule.rule)
        };
        assert!(known.contains(&(&**category, &**subcategory)), "{}: {category}/{subcategory} is not on the list", rule.rule);
        // A team of ours would win over the team that the sender names.
        assert!(rule.team.is_none(), "{}: names a team", rule.rule);
        used.insert((category.to_string(), subcategory.to_string()));
    }
    let unused: Vec<_> = known.iter().filter(|(c, s)| !used.contains(&((*c).to_owned(), (*s).to_owned()))).collect();
    assert!(unused.is_empty(), "no rule gives {unused:?}");
    let page = fs::read_to_string(repository().join("docs/packs.md")).unwrap();
    for (category, subcategories) in SUBCATEGORIES {
        let row = format!("| {category} | {} |", subcategories.replace(' ', ", "));
        assert!(page.contains(&row), "docs/packs.md lacks the row {row}");
    }
}

#[test]
fn alerts_of_general_practice_are_classified_as_people_would() {
    let table = fs::read_to_string(repository().join("tests/golden/packs/classification.tsv")).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(rows.len() >= 150, "only {} rows", rows.len());
    let rules = classifying();
    let mut wrong = Vec::new();
    for row in rows {
        let [name, category, subcategory] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("not three columns: {row}") };
        let found = classify(&rules, name);
        if found != (category.to_owned(), subcategory.to_owned()) {
            wrong.push(format!("{name}: {category}/{subcategory} was expected, but it is {}/{}", found.0, found.1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_alerts_of_public_rule_books_are_classified() {
    let folder = env::var_os("QUELL_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let book = folder.join("rules/rules.ndjson");
    let Ok(text) = fs::read_to_string(&book) else {
        eprintln!("packs: DID NOT RUN on the public rule books: {} is not there; QUELL_DATA names its folder", book.display());
        return;
    };
    let names: BTreeSet<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["alertname"].as_str().unwrap().to_owned())
        .collect();
    let rules = classifying();
    let mut by_category: BTreeMap<String, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    for name in &names {
        let (category, subcategory) = classify(&rules, name);
        if category == "uncategorised" || subcategory.is_empty() {
            missed.push(name.as_str());
        } else {
            *by_category.entry(category).or_default() += 1;
        }
    }
    let share = 1.0 - missed.len() as f64 / names.len() as f64;
    eprintln!("packs: {:.1} % of {} names have category and subcategory: {by_category:?}", share * 100.0, names.len());
    assert!(share >= SHARE_MIN, "{:.1} %; missing are:\n{}", share * 100.0, missed.join("\n"));
}

/// Category and subcategory (empty: none) of the incident that an alert with nothing but a name opens.
fn classify(rules: &Arc<Ruleset>, name: &str) -> (String, String) {
    let labels = Labels::from_pairs([("alertname", name)]).unwrap();
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "prometheus".into(),
        starts_at: Time(0),
    };
    let news = News { alert: Arc::new(alert), status: AlertStatus::Firing, ends_at: None, lasts: None };
    let mut engine = Engine::new(State::new(), rules.clone(), EngineOptions::default());
    let mut facts = Vec::new();
    engine.step(Time(0), Input::Created { directory: "d".into() }, &mut facts).unwrap();
    engine.step(Time(1), Input::Alert(news), &mut facts).unwrap();
    let incident = engine.state().incidents().next().unwrap_or_else(|| panic!("{name} has opened no incident"));
    (incident.category.to_string(), incident.subcategory.as_deref().unwrap_or_default().to_owned())
}

fn classifying() -> Arc<Ruleset> {
    let first = SourceFile { name: "each-alone.yaml".to_owned(), text: EACH_ALONE.to_owned() };
    let mut files = vec![first];
    files.extend(packs());
    // The rules that correlate are shadowed now, which is what the lint says, and what is meant.
    Arc::new(ruleset::load(&files, None, Limits::default()).unwrap_or_else(|faults| panic!("{faults:#?}")).ruleset)
}

fn load(files: &[SourceFile]) -> Ruleset {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    match ruleset::load(files, Some(&[]), Limits::default()) {
        Ok(loaded) if loaded.warnings.is_empty() => loaded.ruleset,
        Ok(loaded) => panic!("{names:?}: {:#?}", loaded.warnings),
        Err(faults) => panic!("{names:?}: {faults:#?}"),
    }
}

/// The folder as a server reads it.
fn packs() -> Vec<SourceFile> {
    read(&repository().join("rules"))
}

fn read(path: &Path) -> Vec<SourceFile> {
    ruleset::read_files(&[path.to_owned()]).unwrap()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
