//! From the texts of rule files to the rules that the engine runs, or to everything that is wrong with them.
//!
//! One broken file hides nothing of the others, and one broken rule nothing of its neighbours: only a fault of YAML's own
//! syntax ends the reading of its file. Never reads files itself; [`files`](super::files) does.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::alert_index::Listed;
use super::builtin;
use super::diagnostics::{Code, Diagnostic};
use super::fields::Fields;
use super::index::MatcherIndex;
use super::inhibition::Inhibition;
use super::lint;
use super::report::Report;
use super::rules::{Ruleset, SuppressHow};
use super::schema::{classify, correlate, enrich, escalate, heartbeats, prioritize, services, suppress};
use super::table::{self, Tables};
use super::yaml::{self, Node, Value, YamlFault};
use crate::model::{Matcher, RuleRef};

/// A rule file's or a table's text under the name that diagnostics give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
}

/// How much rule files may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rules and services of all files together.
    pub rules_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: usize,
    /// Bytes of a rule's name.
    pub name_bytes_max: usize,
    /// Rows of one table.
    pub table_rows_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rules_max: 20_000, file_bytes_max: 8 << 20, name_bytes_max: 200, table_rows_max: 100_000 }
    }
}

/// Rules that can be used.
#[derive(Debug)]
pub struct Loaded {
    pub ruleset: Ruleset,
    /// What probably is not as it was meant.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles rule files, which are in order, with the tables that they name among them. With `known_receivers`, every receiver that a rule names must be among them.
///
/// # Errors
/// Every fault of every file, and what was to be warned of so far, in the order of files and places.
pub fn load(files: &[SourceFile], known_receivers: Option<&[Arc<str>]>, limits: Limits) -> Result<Loaded, Vec<Diagnostic>> {
    let tables = Tables::new(files, limits);
    let mut loader = Loader {
        receivers: known_receivers,
        tables: &tables,
        limits,
        names: BTreeMap::new(),
        rules: 0,
        ruleset: Ruleset::default(),
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.name.ends_with(table::EXTENSION)) {
        let report = Report::new(&file.name, &file.text);
        loader.file(&report);
        found.append(&mut report.finish());
    }
    let mut ruleset = loader.ruleset;
    found.append(&mut tables.finish());
    if found.iter().any(|diagnostic| diagnostic.code.is_error()) {
        return Err(found);
    }
    let hops = ruleset.hops();
    ruleset.catalogue.work_out(hops);
    ruleset.digest = digest(files);
    found.extend(lint::lint(&ruleset, files));
    add_built_in(&mut ruleset);
    build_indexes(&mut ruleset);
    Ok(Loaded { ruleset, warnings: found })
}

impl Ruleset {
    /// The rules that are there without any file.
    #[must_use]
    pub fn built_in() -> Ruleset {
        let mut ruleset = Ruleset::default();
        add_built_in(&mut ruleset);
        build_indexes(&mut ruleset);
        ruleset
    }
}

/// Reads a file's text as one YAML document. `None` where it is none, which is then reported.
pub(crate) fn document(report: &Report<'_>, bytes_max: usize) -> Option<Node> {
    let text = report.map.text();
    if text.len() > bytes_max {
        let message = format!("the file has {} bytes, but at most {bytes_max} are allowed", text.len());
        report.add(Diagnostic::new(Code::Limit, 0..0, message).hint("cut it into several files"));
        return None;
    }
    if let Some(at) = text.find('\u{fffd}') {
        let message = "the file is not UTF-8, or was damaged on its way";
        report.add(Diagnostic::new(Code::Syntax, at..at + 3, message).hint("save it as UTF-8"));
        return None;
    }
    let refuse = |fault: YamlFault| report.add(Diagnostic::new(fault.code, fault.span, fault.message).hint(fault.hint));
    yaml::parse(text).map_err(refuse).ok()
}

struct Loader<'r> {
    receivers: Option<&'r [Arc<str>]>,
    tables: &'r Tables<'r>,
    limits: Limits,
    /// Where each name of a stage was first.
    names: BTreeMap<(&'static str, String), RuleRef>,
    rules: usize,
    ruleset: Ruleset,
}

impl Loader<'_> {
    fn file(&mut self, report: &Report<'_>) {
        let Some(root) = document(report, self.limits.file_bytes_max) else { return };
        if root.value == Value::Null {
            return report.add(Diagnostic::new(Code::Empty, 0..0, "a file without any rule"));
        }
        Fields::read(&root, "a rule file", report, |root| self.sections(root));
    }

    fn sections(&mut self, root: &mut Fields<'_>) {
        let (receivers, tables) = (self.receivers, self.tables);
        self.section(root, "services", "a service", |rules, f, rule| rules.catalogue.push(services::read(f, rule)));
        self.section(root, "enrich", "an enrich rule", |rules, f, rule| rules.enrich.push(enrich::read(f, rule, tables)));
        self.section(root, "suppress", "a suppress rule", |rules, f, rule| rules.suppress.extend(suppress::read(f, rule)));
        self.section(root, "correlate", "a correlate rule", |rules, f, rule| rules.correlate.push(correlate::read(f, rule)));
        self.section(root, "classify", "a classify rule", |rules, f, rule| rules.classify.push(classify::read(f, rule)));
        self.section(root, "prioritize", "a prioritize rule", |rules, f, rule| rules.prioritize.push(prioritize::read(f, rule)));
        self.section(root, "escalate", "an escalate rule", |rules, f, rule| {
            rules.escalate.push(escalate::read(f, rule, receivers));
        });
        self.section(root, "heartbeats", "a heartbeat", |rules, f, rule| {
            rules.heartbeats.insert(rule.name.clone(), heartbeats::read(f, rule));
        });
    }

    /// Reads the rules of one stage, each with `read`.
    fn section<'a>(
        &mut self,
        root: &mut Fields<'a>,
        stage: &'static str,
        what: &'static str,
        read: impl Fn(&mut Ruleset, &mut Fields<'a>, RuleRef),
    ) {
        if root.is_null(stage) || root.is_empty_list(stage) {
            root.ignore(stage);
            root.fault(Code::Empty, &root.key_span(stage), format!("the section `{stage}` is empty"), "");
            return;
        }
        let Some(node) = root.get(stage) else { return };
        for item in root.as_list(stage, node) {
            self.rules += 1;
            if self.rules > self.limits.rules_max {
                let message = format!("more than {} rules", self.limits.rules_max);
                root.fault(Code::Limit, &item.span, message, "");
                return;
            }
            Fields::read(item, what, root.report, |fields| {
                let rule = self.rule_ref(stage, fields);
                read(&mut self.ruleset, fields, rule);
            });
        }
    }

    /// Reads a rule's name, which no other rule of the stage may have.
    fn rule_ref(&mut self, stage: &'static str, fields: &mut Fields<'_>) -> RuleRef {
        let map = &fields.report.map;
        let (file, line) = (map.file().clone(), map.line(fields.span().start));
        let Some(name) = fields.need_text("name") else { return RuleRef::new("", file, line) };
        if name.text.len() > self.limits.name_bytes_max || name.text.contains(char::is_control) {
            let message = format!("a name has at most {} bytes and no control characters", self.limits.name_bytes_max);
            fields.fault(Code::Range, &name.node.span, message, "");
        }
        let rule = RuleRef::new(name.text, file, line);
        if let Some(first) = self.names.get(&(stage, name.text.to_owned())) {
            let what = match stage {
                "services" | "heartbeats" => stage,
                _ => "rules",
            };
            let message = format!("there are two {what} `{}` in `{stage}`", name.text);
            let hint = format!("the first is {}:{}", first.file, first.line);
            fields.fault(Code::DuplicateName, &name.node.span, message, &hint);
        } else {
            self.names.insert((stage, name.text.to_owned()), rule.clone());
        }
        rule
    }
}

fn add_built_in(ruleset: &mut Ruleset) {
    if ruleset.correlate.iter().all(|rule| &*rule.rule.name != builtin::DEFAULT) {
        ruleset.correlate.push(builtin::correlate());
    }
    let named_in_files: Vec<Arc<str>> = ruleset.classify.iter().map(|rule| rule.rule.name.clone()).collect();
    ruleset.classify.extend(builtin::classify().filter(|rule| !named_in_files.contains(&rule.rule.name)));
}

fn build_indexes(ruleset: &mut Ruleset) {
    ruleset.enrich_index = index(ruleset.enrich.iter().map(|rule| &*rule.matchers));
    ruleset.classify_index = index(ruleset.classify.iter().map(|rule| &*rule.matchers));
    let all = &mut ruleset.alert_index;
    for (position, rule) in (0..).zip(&ruleset.suppress) {
        if !matches!(rule.how, SuppressHow::Inhibit { .. }) {
            all.insert(Listed::Suppress, position, &rule.matchers);
        }
    }
    ruleset.inhibition = Inhibition::of(&ruleset.suppress, all);
    for (position, rule) in (0..).zip(&ruleset.correlate) {
        // A rule with a sequence is found by its steps alone.
        match &rule.sequence {
            None => all.insert(Listed::Correlate, position, &rule.matchers),
            Some(sequence) => {
                for step in &sequence.steps {
                    let number = u32::try_from(ruleset.sequence_steps.len()).unwrap_or(u32::MAX);
                    all.insert(Listed::Step, number, &step.matchers);
                    ruleset.sequence_steps.push(position);
                }
            }
        }
    }
    for (position, rule) in (0..).zip(&ruleset.prioritize) {
        all.insert(Listed::Prioritize, position, &rule.matchers);
    }
    for (position, rule) in (0..).zip(&ruleset.escalate) {
        all.insert(Listed::Escalate, position, &rule.matchers);
    }
}

fn index<'a>(lists: impl Iterator<Item = &'a [Matcher]>) -> MatcherIndex {
    let mut index = MatcherIndex::default();
    (0..).zip(lists).for_each(|(number, matchers)| index.insert(number, matchers));
    index
}

/// A hash over names and texts; never 0, which stands for the built-in rules alone.
fn digest(files: &[SourceFile]) -> u64 {
    let mut hash = Xxh3::new();
    for file in files {
        for part in [&file.name, &file.text] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.digest().max(1)
}
