//! `quell.yaml`, read again while running: its sources take effect, all else waits for a restart and is named.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{self, Config, ConfigError, SourceConfig, Warning};
use crate::ingest::IngestState;
use crate::runtime::{LoadMore, Loaded};

/// Reads the configuration as it was read at the start: the same file, the same variables and flags.
pub type ReadConfig = Box<dyn Fn() -> Result<(Config, Vec<Warning>), Vec<ConfigError>> + Send + Sync>;

/// What a reload of the sources does. `started` is what the daemon was started with.
pub(super) fn loader(ingest: Arc<IngestState>, started: Arc<Config>, read: ReadConfig) -> LoadMore {
    let in_force = Arc::new(Mutex::new(started.sources.clone()));
    Arc::new(move || {
        let (read, warnings) = read().map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            format!("the configuration cannot be used\n{}", faults.join("\n"))
        })?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let waiting = others(&started, &read);
        let wanted = read.sources.clone();
        // Everything but the sources is as it was: whether a source is safe is a matter of the port that is open now.
        let merged = Config { sources: read.sources, ..(*started).clone() };
        config::check_exposure(&merged).map_err(|error| error.to_string())?;
        let prepared = ingest.prepare(merged).map_err(|error| error.to_string())?;
        let (ingest, in_force) = (ingest.clone(), in_force.clone());
        let apply = move || {
            ingest.replace_sources(prepared);
            let mut in_force = in_force.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = changes(&in_force, &wanted);
            let count = wanted.len();
            *in_force = wanted;
            format!("sources reloaded: {count} are in force{changes}")
        };
        Ok(Loaded { apply: Box::new(apply), waiting })
    })
}

/// In words, what is different among the sources.
fn changes(before: &[SourceConfig], after: &[SourceConfig]) -> String {
    let among = |sources: &[SourceConfig], name: &str| sources.iter().find(|it| &*it.name == name).cloned();
    let names = |sources: &[SourceConfig], keep: &dyn Fn(&SourceConfig) -> bool| -> Vec<String> {
        sources.iter().filter(|it| keep(it)).map(|it| it.name.to_string()).collect()
    };
    let kinds = [
        ("changed", names(after, &|it| among(before, &it.name).is_some_and(|before| before != *it))),
        ("new", names(after, &|it| among(before, &it.name).is_none())),
        ("gone", names(before, &|it| among(after, &it.name).is_none())),
    ];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("{kind}: {}", names.join(", ")))
        .collect();
    if told.is_empty() { String::new() } else { format!(" ({})", told.join("; ")) }
}

/// The keys besides `sources` that are others than at the start.
fn others(started: &Config, read: &Config) -> Vec<&'static str> {
    let keys = [
        ("listen", started.listen == read.listen),
        ("tls", started.tls == read.tls),
        ("insecure", started.insecure == read.insecure),
        ("data", started.data == read.data),
        ("rules", started.rules == read.rules),
        ("external_url", started.external_url == read.external_url),
        ("receivers", started.receivers == read.receivers),
        ("tokens", started.tokens == read.tokens),
        ("limits", started.limits == read.limits),
        ("retention", started.retention == read.retention),
        ("outbound", started.outbound == read.outbound),
        ("resolve_timeout", started.resolve_timeout == read.resolve_timeout),
    ];
    keys.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(text: &str) -> Config {
        config::load_text("quell.yaml", text, &BTreeMap::new(), &BTreeMap::new()).unwrap().0
    }

    #[test]
    fn what_waits_for_a_restart_is_named() {
        let started = config("");
        let cases = [
            ("", &[][..]),
            ("sources: [{ name: a, format: grafana }]", &[]),
            ("listen: 127.0.0.1:1\ndata: other", &["listen", "data"]),
            ("receivers: [{ name: a, log: {} }]\nlimits: { rejects: 7 }", &["receivers", "limits"]),
            ("tokens: [{ name: a, token: b }]", &["tokens"]),
        ];
        for (text, expected) in cases {
            assert_eq!(others(&started, &config(text)), expected, "{text}");
        }
        // A secret that was changed is seen, though it is never shown.
        let with = |token: &str| config(&format!("tokens: [{{ name: a, token: {token} }}]"));
        assert_eq!(others(&with("b"), &with("c")), ["tokens"]);
    }

    #[test]
    fn what_is_different_is_told() {
        let sources = |text: &str| config(&format!("sources: [{text}]")).sources;
        let before = sources("{ name: a, format: grafana }, { name: b, format: zabbix, token: k1 }");
        let after = sources("{ name: b, format: zabbix, token: k2 }, { name: c, format: grafana }");
        assert_eq!(changes(&before, &after), " (changed: b; new: c; gone: a)");
        assert_eq!(changes(&after, &after), "");
    }
}
