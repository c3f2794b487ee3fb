//! Rule files as a JSON Schema (draft 2020-12), for editors: `quell schema > rules.schema.json`.
//!
//! Limits and defaults are the loader's own constants. Keys are written down here a second time, because a reader asks for
//! its keys in the order in which it needs them; tests take each key out of a file, and put a strange one in, and hold that
//! loader and schema say the same. What a schema cannot say (names that are unique, expressions, templates, order of steps)
//! is `quell check`'s to find.

use serde_json::{Value, json};

use super::load::Limits;
use super::schema::{correlate, enrich, escalate, heartbeats, services, suppress, ties};

/// The schema of one rule file.
#[must_use]
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Quell rules",
        "description": "A list of rules for each stage; within a stage, rules apply in order",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "services": section("The service catalogue: topology, ownership, criticality", "service"),
            "enrich": section("Change labels; every rule that matches applies, in order", "enrich"),
            "suppress": section("Keep alerts quiet; every rule that matches applies", "suppress"),
            "correlate": section("Group alerts into incidents; the first rule that matches takes the alert", "correlate"),
            "classify": section("Name category and team; each is set by the first rule that matches and names it", "classify"),
            "prioritize": section("Set impact and urgency; the first rule that matches counts", "prioritize"),
            "escalate": section("Say who is told, when, how often; the first rule that matches is the policy", "escalate"),
            "heartbeats": section("What is to be heard of again and again at /v1/heartbeats/{name}", "heartbeat"),
        },
        "$defs": {
            "service": service(),
            "enrich": enrich(),
            "suppress": suppress(),
            "correlate": correlate(),
            "tie": tie(),
            "classify": classify(),
            "prioritize": prioritize(),
            "escalate": escalate(),
            "heartbeat": heartbeat(),
            "step": step(true),
            "firstStep": step(false),
            "name": {
                "description": "What decisions call the rule; unique in its stage, over all files",
                "type": "string", "minLength": 1, "maxLength": Limits::default().name_bytes_max,
            },
            "word": { "type": "string", "minLength": 1 },
            "words": { "type": "array", "items": { "$ref": "#/$defs/word" }, "uniqueItems": true },
            "matcher": { "description": "As in Prometheus: label=\"value\", !=, =~, !~", "type": "string", "minLength": 1 },
            "matchers": { "description": "All must hold", "type": "array", "items": { "$ref": "#/$defs/matcher" } },
            "someMatchers": {
                "description": "All must hold", "type": "array", "items": { "$ref": "#/$defs/matcher" }, "minItems": 1,
            },
            "when": { "description": "A CEL expression that must be true besides", "type": "string", "minLength": 1 },
            "duration": {
                "description": "A length of time: 30s, 10m, 1h30m, 2d",
                "anyOf": [{ "type": "string", "minLength": 1, "pattern": DURATION }, { "const": 0 }],
            },
            "clock": { "description": "A time of day, in quotes", "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$" },
        },
    })
}

const DURATION: &str = "^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";

/// A list of rules. One that is empty, or has no value, is warned of only.
fn section(about: &str, rule: &str) -> Value {
    json!({ "description": about, "type": ["array", "null"], "items": of(rule) })
}

/// What a name under `$defs` stands for.
fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The same with words of its own.
fn about(name: &str, about: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}"), "description": about })
}

/// A mapping with these keys and no others.
fn mapping(required: &[&str], properties: Value) -> Value {
    let mut mapping = json!({ "type": "object", "additionalProperties": false, "required": required });
    mapping["properties"] = properties;
    mapping
}

/// The same, with more that must hold.
fn with(mut mapping: Value, more: Value) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut mapping, more) {
        all.extend(more);
    }
    mapping
}

/// That one of these keys is there.
fn one_of_keys(keys: &[&str]) -> Value {
    keys.iter().map(|key| json!({ "required": [key] })).collect()
}

/// That none of these keys stands beside another.
fn without(keys: &[&str]) -> Value {
    let none: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), Value::Bool(false))).collect();
    json!({ "properties": none })
}

fn service() -> Value {
    mapping(
        &["name"],
        json!({
            "name": about("name", "As alerts have it in their label `service`"),
            "tier": { "description": "1 is the most critical", "type": "integer", "minimum": 1, "maximum": 5 },
            "team": about("word", "Whose it is"),
            "depends_on": with(of("words"), json!({ "description": "Other services", "maxItems": services::DEPENDS_MAX })),
            "runbook": about("word", "Where it stands what to do"),
        }),
    )
}

fn heartbeat() -> Value {
    let labels = json!({
        "description": "Of the alert about its being missed; `severity` is high unless named here",
        "type": "object", "additionalProperties": { "type": "string" }, "maxProperties": heartbeats::LABELS_MAX,
        "not": { "anyOf": one_of_keys(&["alertname", "heartbeat"]) },
    });
    mapping(
        &["name", "every"],
        json!({
            "name": {
                "description": "As the path has it", "type": "string", "minLength": 1, "maxLength": heartbeats::NAME_BYTES_MAX,
                "pattern": "^[A-Za-z0-9._-]+$",
            },
            "every": about("duration", "How often it is to be heard of"),
            "grace": about("duration", "So much later is still in time; default a tenth of `every`, at least 5s"),
            "labels": labels,
        }),
    )
}

fn enrich() -> Value {
    let keys = json!({
        "name": of("name"),
        "match": of("matchers"),
        "when": of("when"),
        "set": {
            "description": "Labels and what they become, as templates; an empty result takes the label away",
            "type": "object", "additionalProperties": { "type": "string" }, "minProperties": 1, "maxProperties": enrich::SET_MAX,
        },
        "changed": about("duration", "Only where what the alert is about was changed no longer ago than this"),
        "table": { "description": "A CSV file, its path from this file on", "type": "string", "pattern": "\\.csv$" },
        "on": with(
            about("words", "The columns that are looked up by the alert's labels of these names"),
            json!({ "minItems": 1, "maxItems": enrich::ON_MAX }),
        ),
    });
    let more = json!({ "oneOf": one_of_keys(&["set", "table"]), "dependentRequired": { "table": ["on"], "on": ["table"] } });
    with(mapping(&["name"], keys), more)
}

fn suppress() -> Value {
    let how = ["inhibit", "during", "hold", "flapping"];
    let keys = json!({
        "name": of("name"),
        "match": of("someMatchers"),
        "when": of("when"),
        "inhibit": with(
            mapping(&["source", "target"], json!({
                "source": about("someMatchers", "While an alert that matches these fires"),
                "target": about("someMatchers", "… alerts that match these are suppressed"),
                "equal": about("words", "… if both have the same values in these labels"),
            })),
            json!({ "description": "Suppressed while another alert fires" }),
        ),
        "during": with(
            mapping(&["from", "to"], json!({
                "days": with(about("words", "Default: all"), json!({ "items": { "enum": DAYS } })),
                "from": of("clock"),
                "to": about("clock", "Up to 24:00; a window whose `from` comes after it lasts past midnight"),
                "zone": about("word", "As IANA names it: Europe/Berlin; default UTC"),
            })),
            json!({ "description": "Suppressed while the wall clock stands in this window" }),
        ),
        "hold": about("duration", "Suppressed for so long after it began to fire; at most 24h"),
        "flapping": with(
            mapping(&["changes", "within", "until_stable"], json!({
                "changes": { "type": "integer", "minimum": 2, "maximum": suppress::CHANGES_MAX },
                "within": of("duration"),
                "until_stable": of("duration"),
            })),
            json!({ "description": "Suppressed while it changes too often between firing and resolved" }),
        ),
    });
    let more = json!({
        "oneOf": one_of_keys(&how),
        "if": { "required": ["inhibit"] },
        "then": without(&["match"]),
        "else": { "anyOf": one_of_keys(&["match", "when"]) },
    });
    with(mapping(&["name"], keys), more)
}

/// The days' names that the loader takes, whole and short. In other letters they are right, too, but nobody suggests them.
const DAYS: [&str; 14] = [
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

fn correlate() -> Value {
    let window = format!("Takes further alerts while its last news is less old than this; default {}", correlate::WINDOW);
    let max_age = format!("… and while it is itself younger than this; default {}", correlate::MAX_AGE);
    let keys = json!({
        "name": of("name"),
        "match": of("matchers"),
        "when": of("when"),
        "by": with(about("words", "One incident for each combination of these labels' values"), json!({ "maxItems": correlate::BY_MAX })),
        "window": about("duration", &window),
        "max_age": about("duration", &max_age),
        "resolve_after": about("duration", "How long all its alerts must have stayed resolved; default 0s"),
        "threshold": with(
            mapping(&["count", "within"], json!({
                "count": { "type": "integer", "minimum": 1, "maximum": correlate::COUNT_MAX },
                "distinct": about("word", "Count different values of this label instead of alerts"),
                "of": {
                    "description": "alerts: those that fire (default); firings: each time that one begins to",
                    "enum": ["alerts", "firings"],
                },
                "within": of("duration"),
                "otherwise": {
                    "description": "alone: goes on to later rules (default); drop: ends there", "enum": ["alone", "drop"],
                },
            })),
            json!({
                "description": "Open only when so many fire within the time",
                "if": { "properties": { "of": { "const": "firings" } }, "required": ["of"] }, "then": without(&["distinct"]),
            }),
        ),
        "absent": with(
            mapping(&["for"], json!({ "match": of("someMatchers"), "for": of("duration") })),
            json!({ "description": "Alerts that match are beats; an incident opens when none has come for so long" }),
        ),
        "sequence": {
            "description": "Open when alerts come in this order",
            "type": "array", "minItems": 2, "maxItems": correlate::STEPS_MAX,
            "items": with(
                mapping(&[], json!({ "match": of("someMatchers"), "when": of("when") })),
                json!({ "anyOf": one_of_keys(&["match", "when"]) }),
            ),
        },
        "within": about("duration", "From a sequence's first step to its last"),
        "hold": { "description": "A sequence's earlier steps wait instead of going on to later rules", "type": "boolean" },
        "topology": with(
            mapping(&["hops", "within"], json!({
                "hops": { "type": "integer", "minimum": 1, "maximum": correlate::HOPS_MAX },
                "within": of("duration"),
            })),
            json!({ "description": "Join incidents of services that are near in the catalogue" }),
        ),
        "ties": {
            "description": "Join the incident of an alert that this one has something in common with",
            "type": "array", "minItems": 1, "maxItems": ties::TIES_MAX, "items": of("tie"),
        },
        "wait": about("duration", "How long an alert that is tied to nothing waits for others; default 0s"),
        "lag": { "description": "The label that says how long an alert's condition had lasted when it fired; ties then compare when conditions began", "type": "string" },
        "back_within": about("duration", "An alert that was away for so long is decided anew; default: it comes back"),
        "storm": with(
            mapping(&["least", "within"], json!({
                "above": {
                    "description": format!("Times what is usual; default {}", correlate::STORM_ABOVE),
                    "type": "integer", "minimum": 2, "maximum": 1_000,
                },
                "least": { "type": "integer", "minimum": 2, "maximum": correlate::COUNT_MAX },
                "within": of("duration"),
                "hold": about("duration", "How long alerts wait for a storm to show; default: 10s once a fifth of one has come"),
                "pass": {
                    "description": format!("Kinds that go on to later rules all the same; default {}", correlate::STORM_PASS),
                    "type": "integer", "minimum": 0, "maximum": correlate::STORM_PASS_MAX,
                },
            })),
            json!({ "description": "One incident takes all that comes while far more comes than is usual" }),
        ),
        "continue": { "description": "Later rules take the alert, too; default false", "type": "boolean" },
        "title": { "description": "A template over by.<label>, labels.<name>, incident.count", "type": "string" },
    });
    let more = json!({
        "dependentRequired": { "sequence": ["within"], "within": ["sequence"], "hold": ["sequence"], "wait": ["ties"], "lag": ["ties"] },
        "dependentSchemas": {
            "ties": without(&["by", "absent", "sequence", "topology"]),
            "wait": without(&["threshold"]),
            "sequence": without(&["match", "threshold", "absent", "topology"]),
            "absent": with(without(&["match", "threshold", "resolve_after"]), json!({
                "anyOf": [{ "required": ["when"] }, { "properties": { "absent": { "required": ["match"] } } }],
            })),
            "topology": without(&["by", "threshold", "absent"]),
            "storm": without(&["threshold", "absent", "sequence", "topology", "continue"]),
        },
    });
    with(mapping(&["name"], keys), more)
}

fn tie() -> Value {
    let keys = json!({
        "same": with(of("words"), json!({
            "description": "Labels on which both agree", "minItems": 1, "maxItems": ties::SAME_MAX,
        })),
        "hops": {
            "description": "Or so near in the catalogue", "type": "integer", "minimum": 0, "maximum": correlate::HOPS_MAX,
        },
        "on": about("word", "The label that names the thing of the catalogue; default service"),
        "within": about("duration", "How long before it the other one has begun, at most"),
        "to": about("matchers", "What the other one must be besides"),
        "alerts": {
            "description": "How many such alerts the incident must have; default 1",
            "type": "integer", "minimum": 1, "maximum": ties::ALERTS_MAX,
        },
    });
    let more = json!({
        "anyOf": one_of_keys(&["same", "hops"]),
        "dependentSchemas": { "same": without(&["hops", "on"]) },
    });
    with(mapping(&["within"], keys), more)
}

fn classify() -> Value {
    let keys = json!({
        "name": of("name"), "match": of("matchers"), "when": of("when"),
        "category": of("word"), "subcategory": of("word"), "team": of("word"),
    });
    with(mapping(&["name"], keys), json!({ "anyOf": one_of_keys(&["category", "subcategory", "team"]) }))
}

fn prioritize() -> Value {
    let keys = json!({
        "name": of("name"), "match": of("matchers"), "when": of("when"),
        "impact": { "description": "1 (a vital service) to 3 (one part)", "type": "integer", "minimum": 1, "maximum": 3 },
        "urgency": { "description": "1 (now) to 3 (can wait)", "type": "integer", "minimum": 1, "maximum": 3 },
        "type": {
            "description": "major: managers are told, related incidents become parts; normal: it is none", "enum": ["major", "normal"],
        },
    });
    with(mapping(&["name"], keys), json!({ "anyOf": one_of_keys(&["impact", "urgency", "type"]) }))
}

fn escalate() -> Value {
    let update = format!("At most one update message in this time; default {}", escalate::UPDATE);
    mapping(
        &["name", "steps"],
        json!({
            "name": of("name"),
            "match": of("matchers"),
            "when": of("when"),
            "wait": about("duration", "Collect alerts for so long before the first message; default 0s"),
            "steps": {
                "type": "array", "minItems": 1, "maxItems": escalate::STEPS_MAX,
                "prefixItems": [of("firstStep")], "items": of("step"),
            },
            "update": about("duration", &update),
            "repeat": {
                "description": "Say it again after this time while the incident stays open; default never",
                "anyOf": [{ "const": "never" }, of("duration")],
            },
            "resolved": { "description": "Close what was opened at a receiver; default true", "type": "boolean" },
            "continue": { "description": "Later rules apply, too; default false", "type": "boolean" },
        }),
    )
}

/// Every step but the first says when it is due.
fn step(with_after: bool) -> Value {
    let required: &[&str] = if with_after { &["after", "notify"] } else { &["notify"] };
    mapping(
        required,
        json!({
            "after": about("duration", "From the incident's opening on; the first step's default is `wait`"),
            "unless": { "description": "Leave the step out when somebody has acknowledged", "enum": ["acknowledged"] },
            "notify": with(about("words", "Receivers of the configuration"), json!({ "minItems": 1 })),
        }),
    )
}

#[cfg(test)]
mod tests;
