//! A site's inventory as a rule file: what it says of services becomes entries of the catalogue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::ruleset::SourceFile;

/// What an inventory says, as far as the catalogue has a place for it.
#[derive(Deserialize)]
struct Inventory {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    tier: Option<u8>,
    team: Option<String>,
    #[serde(default)]
    depends_on: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    service: String,
}

/// Reads an inventory: `{"services":{"cart":{"tier":1,"team":"shop","dependsOn":[{"service":"cart-db"}]}}}`. What else it
/// has is passed over.
///
/// # Errors
/// What is wrong with it, in words.
pub fn rule_file(source: &SourceFile) -> Result<SourceFile, String> {
    let inventory: Inventory = serde_json::from_str(&source.text).map_err(|error| format!("{}: {error}", source.name))?;
    let entries: Vec<Value> = inventory.services.iter().map(|(name, service)| entry(name, service)).collect();
    // JSON is YAML, so that the usual reader takes it, with its limits and its words.
    let text = if entries.is_empty() { String::new() } else { json!({ "services": entries }).to_string() };
    Ok(SourceFile { name: source.name.clone(), text })
}

fn entry(name: &str, service: &Service) -> Value {
    let mut entry = json!({ "name": name });
    if let Some(tier) = service.tier {
        entry["tier"] = json!(tier);
    }
    if let Some(team) = &service.team {
        entry["team"] = json!(team);
    }
    if !service.depends_on.is_empty() {
        entry["depends_on"] = service.depends_on.iter().map(|it| it.service.as_str()).collect();
    }
    entry
}
