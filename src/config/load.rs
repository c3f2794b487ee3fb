//! From the layers to a [`Config`]: built-in defaults, file, environment, flags, each over the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use config::{Environment, Map, Source, Value, ValueKind};

use super::section::{Notes, Section};
use super::{
    Config, ConfigError, Limits, Outbound, Retention, SourceConfig, SourceFormat, TlsConfig, TokenConfig, Tool, Warning, auth,
    generic, receivers, yaml,
};
use crate::model::Millis;
use crate::model::alert::{HEARTBEATS, REPORTS};

/// The lowest layer, and the list of every key that has a default.
pub const DEFAULTS: &str = include_str!("defaults.yaml");

/// Variables with our prefix that other parts of the program read.
const OTHER_VARIABLES: [&str; 5] = ["config", "log", "token", "url", "color"];

/// Reads the configuration. `path` must exist if given; `env` is the whole environment; `overrides` are flags by their
/// key (`limits.body_bytes`).
///
/// # Errors
/// Every fault that was found, in the order of the keys.
pub fn load(
    path: Option<&Path>,
    env: &BTreeMap<String, String>,
    overrides: &BTreeMap<String, String>,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let (file, text) = match path {
        None => (String::new(), String::new()),
        Some(path) => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| vec![ConfigError::new("unreadable", format!("cannot be read: {error}"), &file)])?;
            (file, text)
        }
    };
    load_text(&file, &text, env, overrides)
}

/// As [`load`], from a text that is there already.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    file: &str,
    text: &str,
    env: &BTreeMap<String, String>,
    overrides: &BTreeMap<String, String>,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let notes = Notes { errors: Vec::new().into(), warnings: Vec::new().into(), env };
    let defaults = yaml::parse("defaults.yaml", DEFAULTS).map_err(|error| vec![error])?;
    let given = yaml::parse(file, text).map_err(|error| vec![error])?;
    let places: BTreeMap<String, String> =
        given.iter().filter_map(|(key, value)| Some((key.clone(), value.origin()?.to_owned()))).collect();
    let variables = variables(&notes, &defaults, env);
    let mut layers = config::Config::builder()
        .add_source(Layer(defaults))
        .add_source(Layer(given))
        .add_source(Environment::with_prefix("QUELL").prefix_separator("_").separator("__").source(Some(variables)));
    for (key, value) in overrides {
        let value = Value::new(Some(&format!("--{key}")), ValueKind::String(value.clone()));
        layers = layers.set_override(key, value).map_err(|error| wrong_layer(&error))?;
    }
    let merged = layers.build().map_err(|error| wrong_layer(&error))?;
    let mut root = merged.collect().map_err(|error| wrong_layer(&error))?;
    for (key, value) in root.iter_mut().filter(|(_, value)| value.origin().is_none()) {
        // Merging makes maps anew, without a place. Only the file has any.
        *value = Value::new(places.get(key), value.kind.clone());
    }
    let config = resolve(&notes, Section::root(&notes, root));
    let (errors, mut warnings) = (notes.errors.take(), notes.warnings.take());
    match config {
        Some(config) if errors.is_empty() => {
            if config.insecure && !config.listen.ip().is_loopback() {
                let message = format!("{} is served without a token because of `insecure: true`", config.listen);
                warnings.push(ConfigError::new("insecure", message, ""));
            }
            Ok((config, warnings))
        }
        _ => Err(errors),
    }
}

/// Whether everything that can be reached from other machines asks for a token. To be called before listening.
///
/// # Errors
/// What stands open on an address that is not loopback, unless `insecure: true`.
pub fn check_exposure(config: &Config) -> Result<(), ConfigError> {
    let ports = std::iter::once(config.listen).chain(config.tls.as_ref().map(|tls| tls.listen));
    let Some(public) = ports.into_iter().find(|port| !port.ip().is_loopback()).filter(|_| !config.insecure) else {
        return Ok(());
    };
    let mut open: Vec<String> =
        config.sources.iter().filter(|it| it.is_open()).map(|it| format!("source `{}`", it.name)).collect();
    if config.tokens.is_empty() {
        open.push("the API (`tokens`)".to_owned());
    }
    if open.is_empty() {
        return Ok(());
    }
    let message = format!("refusing to listen on {public} without a token for {}", open.join(", "));
    let hint =
        "give each a token (a source may ask for a `signature` or `sns` instead), listen on 127.0.0.1, or say `insecure: true`";
    Err(ConfigError::new("exposed", message, "").hint(hint))
}

/// A parsed file as a layer of the `config` crate.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn wrong_layer(error: &config::ConfigError) -> Vec<ConfigError> {
    vec![ConfigError::new("bad_value", error.to_string(), "")]
}

/// Those of our variables that set a key. Others with our prefix are only warned of: they may be another version's.
fn variables(notes: &Notes<'_>, defaults: &Map<String, Value>, env: &BTreeMap<String, String>) -> Map<String, String> {
    let mut known = Map::new();
    for (name, value) in env {
        let Some(key) = name.strip_prefix("QUELL_").map(str::to_lowercase) else { continue };
        let first = key.split("__").next().unwrap_or(&key);
        if first == "external_url" || defaults.contains_key(first) {
            known.insert(name.clone(), value.clone());
        } else if !OTHER_VARIABLES.contains(&first) {
            notes.warn(ConfigError::new("unknown_variable", format!("the variable {name} sets nothing"), "the environment"));
        }
    }
    known
}

/// Asks for every key. `None` when one without which there is no configuration is missing or wrong (and noted).
fn resolve(notes: &Notes<'_>, mut root: Section<'_>) -> Option<Config> {
    let listen: Option<SocketAddr> = root.address("listen");
    let insecure = root.flag("insecure");
    let (data, rules) = (root.name("data"), root.name("rules"));
    let external_url = root.has("external_url").then(|| root.url("external_url"));
    let resolve_timeout = root.duration("resolve_timeout");
    let outbound = root.word("outbound", &[("open", Outbound::Open), ("public-only", Outbound::PublicOnly)]);
    let tls = root.section("tls").and_then(tls);
    let sources = sources(notes, root.sections("sources"));
    let asks = sources.iter().find(|source| !source.client_certificate.is_empty());
    if let Some(source) = asks.filter(|_| tls.as_ref().is_none_or(|tls| tls.client_ca.is_none())) {
        let message = format!("the source `{}` asks for a `client_certificate`, and nobody can show one", source.name);
        notes.error(ConfigError::new("missing_key", message, "").hint("set `tls` with a `client_ca`"));
    }
    let receivers = receivers::read(notes, root.sections("receivers"));
    let tokens = tokens(notes, root.sections("tokens"));
    let limits = root.section("limits").map(limits);
    let retention = root.section("retention").map(retention);
    root.unsupported("teams");
    root.finish();
    Some(Config {
        listen: listen?,
        tls,
        insecure: insecure?,
        data: data.into(),
        rules: rules.into(),
        external_url,
        sources,
        receivers,
        tokens,
        limits: limits?,
        retention: retention?,
        outbound: outbound?,
        resolve_timeout: resolve_timeout?,
    })
}

fn tls(mut section: Section<'_>) -> Option<TlsConfig> {
    let listen = section.need("listen", Section::address);
    let certificate = section.need("certificate", Section::file);
    let key = section.need_secret("key");
    let client_ca = section.file("client_ca");
    section.finish();
    Some(TlsConfig { listen: listen?, certificate: certificate?, key, client_ca })
}

fn sources(notes: &Notes<'_>, sections: Vec<Section<'_>>) -> Vec<SourceConfig> {
    let formats = formats();
    let mut names = Names::default();
    let mut sources: Vec<SourceConfig> = Vec::new();
    for mut section in sections {
        let place = section.place_of("name");
        let name = section.name("name");
        names.add(notes, "source", &name, &place);
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            // It is part of a path, a metric label and every alert.
            section.note("bad_value", "name", "may have letters, digits, `-`, `_` and `.` only", &place);
        }
        if [REPORTS, HEARTBEATS].contains(&&*name) {
            section.note("bad_value", "name", "is what alerts of Quell's own have as their source; take another name", &place);
        }
        let format = if section.has("format") || name != "prometheus" {
            section.need_word("format", &formats)
        } else {
            Some(SourceFormat::Prometheus)
        };
        let auth = auth::read(&mut section, format);
        let labels = section.labels("labels");
        let map_place = section.place_of("map");
        let map = section.section("map").map(generic::read);
        match format {
            Some(SourceFormat::Generic) if map.is_none() => {
                section.note(
                    "missing_key",
                    "map",
                    "is missing: it says how the JSON of format `generic` becomes alerts",
                    &map_place,
                );
            }
            Some(SourceFormat::Prometheus | SourceFormat::Alertmanager | SourceFormat::Tool(_)) if map.is_some() => {
                section.note("bad_value", "map", "belongs to format `generic` only", &map_place);
            }
            _ => {}
        }
        if name == SourceConfig::OWN {
            section.note("bad_value", "name", "is the name that Quell's own alerts come under; choose another", &place);
        }
        let resolve_after = resolve_after(&mut section, format);
        let (silent_after, drift) = (section.duration("silent_after"), section.flag("drift").unwrap_or(true));
        section.finish();
        let format = format.unwrap_or(SourceFormat::Prometheus);
        let auth::Auth { tokens, token_header, token_field, signature, sns, client_certificate, handshake } = auth;
        sources.push(SourceConfig {
            name: name.into(),
            format,
            tokens,
            token_header,
            token_field,
            signature,
            sns,
            client_certificate,
            handshake,
            labels,
            map,
            resolve_after,
            silent_after,
            drift,
        });
    }
    if let Some(other) = sources.iter().find(|it| &*it.name == "prometheus" && it.format != SourceFormat::Prometheus) {
        let message = format!("the source `prometheus` belongs to /api/v2/alerts and cannot have format {:?}", other.format);
        notes.error(ConfigError::new("bad_value", message, ""));
    }
    if !sources.iter().any(|source| &*source.name == "prometheus") {
        sources.insert(0, SourceConfig::prometheus());
    }
    sources
}

/// Every word for `format`.
fn formats() -> Vec<(&'static str, SourceFormat)> {
    let own = [
        ("prometheus", SourceFormat::Prometheus),
        ("alertmanager", SourceFormat::Alertmanager),
        ("generic", SourceFormat::Generic),
    ];
    own.into_iter().chain(Tool::ALL.into_iter().map(|tool| (tool.name(), SourceFormat::Tool(tool)))).collect()
}

fn resolve_after(section: &mut Section<'_>, format: Option<SourceFormat>) -> Option<Millis> {
    let place = section.place_of("resolve_after");
    let length = section.duration("resolve_after")?;
    match format {
        // Prometheus says an end with each word, and `resolve_timeout` holds for those that do not.
        Some(SourceFormat::Prometheus) => {
            section.note("bad_value", "resolve_after", "is `resolve_timeout`, at the top, for format `prometheus`", &place);
        }
        Some(SourceFormat::Generic) => {
            section.note("bad_value", "resolve_after", "belongs into the `map` of format `generic`", &place);
        }
        _ => {}
    }
    Some(length)
}

fn tokens(notes: &Notes<'_>, sections: Vec<Section<'_>>) -> Vec<TokenConfig> {
    let mut names = Names::default();
    let read = |mut section: Section<'_>| {
        let place = section.place_of("name");
        let name = section.name("name");
        names.add(notes, "token", &name, &place);
        let token = section.need_secret("token");
        section.finish();
        TokenConfig { name: name.into(), token }
    };
    sections.into_iter().map(read).collect()
}

/// Every key has a default in the lowest layer; where one is missing here, a fault is noted and no configuration comes of it.
fn limits(mut s: Section<'_>) -> Limits {
    let limits = Limits {
        body_bytes: s.number("body_bytes").unwrap_or_default(),
        alerts_per_request: s.number("alerts_per_request").unwrap_or_default(),
        labels_per_alert: s.number("labels_per_alert").unwrap_or_default(),
        label_name_bytes: s.number("label_name_bytes").unwrap_or_default(),
        label_value_bytes: s.number("label_value_bytes").unwrap_or_default(),
        alert_bytes: s.number("alert_bytes").unwrap_or_default(),
        json_depth: s.number("json_depth").unwrap_or_default(),
        connections: s.number("connections").unwrap_or_default(),
        connections_per_address: s.number("connections_per_address").unwrap_or_default(),
        first_header_timeout: s.duration("first_header_timeout").unwrap_or_default(),
        header_timeout: s.duration("header_timeout").unwrap_or_default(),
        body_timeout: s.duration("body_timeout").unwrap_or_default(),
        active_alerts: s.number("active_alerts").unwrap_or_default(),
        active_alerts_per_source: s.number("active_alerts_per_source").unwrap_or_default(),
        alerts_per_incident: s.number("alerts_per_incident").unwrap_or_default(),
        merges_per_hour: s.number("merges_per_hour").unwrap_or_default(),
        changes: s.number("changes").unwrap_or_default(),
        changes_kept: s.duration("changes_kept").unwrap_or_default(),
        messages_per_source: s.number("messages_per_source").unwrap_or_default(),
        queue_alerts: s.number("queue_alerts").unwrap_or_default(),
        rules: s.number("rules").unwrap_or_default(),
        rule_file_bytes: s.number("rule_file_bytes").unwrap_or_default(),
        rejects: s.number("rejects").unwrap_or_default(),
        reject_bytes: s.number("reject_bytes").unwrap_or_default(),
    };
    s.finish();
    limits
}

fn retention(mut s: Section<'_>) -> Retention {
    let retention =
        Retention { age: s.duration("age").unwrap_or_default(), log_bytes: s.number("log_bytes").unwrap_or_default() };
    s.finish();
    retention
}

/// Names that must differ.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    pub(super) fn add(&mut self, notes: &Notes<'_>, what: &str, name: &str, place: &str) {
        if !self.0.insert(name.to_owned()) {
            notes.error(ConfigError::new("duplicate_name", format!("there are two {what}s named `{name}`"), place));
        }
    }
}
