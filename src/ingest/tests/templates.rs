//! The templates that people paste into their tools: filled in as the tool does it, they say what the samples of the tool
//! say. What a variable holds is taken from the samples, never from the template.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use hyper::HeaderMap;
use serde_json::{Map, Value, json};

use super::tools::FOLDER as SAMPLES;
use crate::config::{Config, Tool};
use crate::ingest::format::{self, Event};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sources/templates");

fn template(name: &str) -> String {
    read(&format!("{FOLDER}/{name}"))
}

fn sample(name: &str) -> Value {
    serde_json::from_str(&read(&format!("{SAMPLES}/{name}"))).unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn events(tool: Tool, text: &str) -> Vec<Event> {
    let reading = format::read(tool, text, &HeaderMap::new(), &Config::default().limits)
        .unwrap_or_else(|fault| panic!("{fault:?}: {text}"));
    reading.events.into_iter().map(|event| event.unwrap_or_else(|unmapped| panic!("{unmapped:?}: {text}"))).collect()
}

/// A variable of a tool, as it is written in a template, and what the tool puts in its place.
type Variables = Vec<(String, String)>;

/// Puts the variables in; the longest name first, as `$ID` begins `$ID_OF`.
fn filled(template: &str, mut variables: Variables) -> String {
    variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let (mut text, mut rest) = (String::new(), template);
    while let Some(c) = rest.chars().next() {
        let here = variables.iter().find(|(name, _)| rest.starts_with(&**name));
        if let Some((name, value)) = here {
            text.push_str(value);
            rest = &rest[name.len()..];
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    text
}

/// A text as it stands between the quotes of JSON.
fn escaped(text: &Value) -> String {
    let json = text.to_string();
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map_or(json.clone(), str::to_owned)
}

/// The variables of a template that lies beside the samples: a text of it is a variable, which holds what the sample has there.
fn variables_by_place(template: &Value, sample: &Value, found: &mut Variables) {
    match template {
        Value::Object(pairs) => pairs.iter().for_each(|(name, value)| variables_by_place(value, &sample[name], found)),
        variable => found.push((variable.as_str().unwrap().to_owned(), escaped(sample))),
    }
}

/// The variables that hold fields of the sample, as JSON.
fn variables_by_name(names: &[(&str, &str)], sample: &Value) -> Variables {
    names.iter().map(|(variable, field)| ((*variable).to_owned(), sample[field].to_string())).collect()
}

/// A template with the values of the sample of this name.
type Filling<'a> = &'a dyn Fn(&str) -> String;

/// The variables that a tool starts a script with.
type Environment<'a> = &'a dyn Fn(&Value) -> Vec<(String, String)>;

#[test]
fn templates_say_what_their_tools_samples_say() {
    let newrelic = [
        ("{{ json issueId }}", "id"),
        ("{{ json state }}", "state"),
        ("{{ json priority }}", "priority"),
        ("{{ json annotations.title.[0] }}", "title"),
        ("{{ json issuePageUrl }}", "issueUrl"),
        ("{{ json entitiesData.names }}", "impactedEntities"),
        ("{{ json accumulations.conditionName }}", "alertConditionNames"),
        ("{{ json accumulations.policyName }}", "alertPolicyNames"),
        ("{{ createdAt }}", "createdAt"),
        ("{{ updatedAt }}", "updatedAt"),
    ];
    let pasted = |file: &'static str, beside: &'static str| {
        move |name: &str| {
            let mut variables = Variables::new();
            variables_by_place(&sample(beside), &sample(name), &mut variables);
            filled(&template(file), variables)
        }
    };
    let (datadog, elastic) = (pasted("datadog.json", "datadog/template.json"), pasted("elastic.json", "elastic/template.json"));
    let newrelic = |name: &str| filled(&template("newrelic.hbs"), variables_by_name(&newrelic, &sample(name)));
    let rows: [(Tool, Filling<'_>, &[&str]); 6] = [
        (Tool::Datadog, &datadog, &["datadog/firing.json", "datadog/no-data.json", "datadog/resolved.json"]),
        (Tool::Elastic, &elastic, &["elastic/firing.json", "elastic/resolved.json"]),
        (Tool::Newrelic, &newrelic, &["newrelic/firing.json", "newrelic/acknowledged.json", "newrelic/resolved.json"]),
        (Tool::Dynatrace, &dynatrace, &["dynatrace/firing.json", "dynatrace/resolved.json"]),
        (Tool::Zabbix, &zabbix, &["zabbix/firing.json", "zabbix/acknowledged.json", "zabbix/resolved.json"]),
        (
            Tool::Librenms,
            &librenms,
            &["librenms/firing.json", "librenms/acknowledged.json", "librenms/worse.json", "librenms/resolved.json"],
        ),
    ];
    for (tool, fill, names) in rows {
        for name in names {
            assert_eq!(events(tool, &fill(name)), events(tool, &sample(name).to_string()), "{name}");
        }
    }
    for name in ["prtg/firing.form", "prtg/resolved.form"] {
        assert_eq!(events(Tool::Prtg, &prtg(name)), events(Tool::Prtg, &read(&format!("{SAMPLES}/{name}"))), "{name}");
    }
}

/// Dynatrace knows the samples' fields by their names, and puts JSON where no quotes stand.
fn dynatrace(name: &str) -> String {
    let sample = sample(name);
    let fields = sample.as_object().unwrap();
    filled(&template("dynatrace.txt"), fields.iter().map(|(field, value)| (format!("{{{field}}}"), escaped(value))).collect())
}

/// LibreNMS puts in what it has, quotes and all.
fn librenms(name: &str) -> String {
    let sample = sample(name);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    filled(
        &template("librenms.txt"),
        sample.as_object().unwrap().iter().map(|(field, value)| (format!("{{{{ ${field} }}}}"), text(value))).collect(),
    )
}

/// PRTG encodes what it puts in.
fn prtg(name: &str) -> String {
    let pairs = |text: String| -> BTreeMap<String, String> {
        text.trim()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let sent = pairs(read(&format!("{SAMPLES}/{name}")));
    let variables = pairs(read(&format!("{SAMPLES}/prtg/template.form")))
        .into_iter()
        .map(|(field, variable)| (variable, sent[&field].clone()));
    filled(template("prtg.form").trim_end(), variables.collect())
}

/// The parameters of the media type, with what Zabbix puts in for their macros. Its script posts those that are no `quell_…`.
fn zabbix(name: &str) -> String {
    #[derive(serde::Deserialize)]
    struct File {
        zabbix_export: Export,
    }
    #[derive(serde::Deserialize)]
    struct Export {
        media_types: Vec<MediaType>,
    }
    #[derive(serde::Deserialize)]
    struct MediaType {
        parameters: Vec<Parameter>,
        script: String,
    }
    #[derive(serde::Deserialize)]
    struct Parameter {
        name: String,
        value: String,
    }
    let file: File = serde_saphyr::from_str(&template("zabbix.yaml")).unwrap();
    let [media_type] = &file.zabbix_export.media_types[..] else { panic!("one media type") };
    assert!(media_type.script.contains("name.indexOf('quell_') !== 0"));
    let macros = [
        ("{EVENT.ID}", "event_id"),
        ("{EVENT.SOURCE}", "event_source"),
        ("{EVENT.VALUE}", "event_value"),
        ("{EVENT.NAME}", "event_name"),
        ("{EVENT.NSEVERITY}", "event_nseverity"),
        ("{EVENT.OPDATA}", "event_opdata"),
        ("{EVENT.TAGSJSON}", "event_tags_json"),
        ("{EVENT.ACK.STATUS}", "event_ack_status"),
        ("{EVENT.UPDATE.STATUS}", "event_update_status"),
        ("{TRIGGER.NAME}", "trigger_name"),
        ("{TRIGGER.DESCRIPTION}", "trigger_description"),
        ("{TRIGGER.URL}", "trigger_url"),
        ("{HOST.HOST}", "host_host"),
        ("{HOST.IP}", "host_ip"),
        ("{TRIGGER.HOSTGROUP.NAME}", "host_groups"),
        ("{ITEM.KEY}", "item_key"),
        ("{ITEM.LASTVALUE}", "item_value"),
        ("{$ZABBIX.URL}", "zabbix_url"),
    ];
    let sample = sample(name);
    let fields = media_type.parameters.iter().filter(|it| !it.name.starts_with("quell_")).map(|it| {
        let (_, field) = macros.iter().find(|(name, _)| *name == it.value).unwrap_or_else(|| panic!("{} is no macro", it.value));
        (it.name.clone(), sample[field].clone())
    });
    Value::Object(fields.collect()).to_string()
}

/// What the script makes of an environment.
fn notify(environment: &[(String, String)]) -> Value {
    let output = Command::new("python3")
        .arg(format!("{FOLDER}/quell-notify"))
        .arg("--print")
        .env_clear()
        .envs(["PATH", "HOME"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_script_for_nagios_and_its_kin_says_what_their_samples_say() {
    let macros = |prefix: &'static str, sample: &Value| -> Vec<(String, String)> {
        // What nobody asked for stays at home.
        let more =
            [(format!("{prefix}_HOSTPASSWORD"), "secret".to_owned()), (format!("{prefix}PARAMETER_2"), "secret".to_owned())];
        let macros = sample
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (format!("{prefix}{name}"), value.as_str().unwrap().to_owned()));
        macros.chain(more).collect()
    };
    let nagios = |sample: &Value| macros("NAGIOS_", sample);
    let checkmk = |sample: &Value| macros("NOTIFY_", sample);
    let rows: [(Tool, Environment<'_>, &[&str]); 3] = [
        (
            Tool::Nagios,
            &nagios,
            &["nagios/firing.json", "nagios/host-firing.json", "nagios/acknowledged.json", "nagios/resolved.json"],
        ),
        (
            Tool::Checkmk,
            &checkmk,
            &["checkmk/firing.json", "checkmk/host-firing.json", "checkmk/acknowledged.json", "checkmk/resolved.json"],
        ),
        (Tool::Icinga2, &icinga2, &["icinga2/firing.json", "icinga2/acknowledged.json", "icinga2/resolved.json"]),
    ];
    for (tool, environment, names) in rows {
        for name in names {
            let sample = sample(name);
            let said = notify(&environment(&sample));
            assert!(!said.to_string().contains("secret"), "{name}: {said}");
            assert_eq!(events(tool, &said.to_string()), events(tool, &sample.to_string()), "{name}");
        }
    }
}

/// The environment that `icinga2.conf` gives the script for a service, with what Icinga puts in for its macros: a path in
/// the sample, or a variable.
fn icinga2(sample: &Value) -> Vec<(String, String)> {
    let config = template("icinga2.conf");
    let sections: Vec<&str> = config.split("\n}\n").filter(|section| !section.contains("\"quell-host\"")).collect();
    let lines = sections
        .iter()
        .flat_map(|section| section.lines())
        .filter_map(|line| line.trim().trim_start_matches("env.").split_once(" = "));
    let set = lines.filter(|(name, _)| name.starts_with("ICINGA__"));
    let environment: Vec<(String, String)> = set
        .map(|(name, variable)| {
            let path = variable.trim_matches(['"', '$']);
            let path = if path.contains('.') { path.to_owned() } else { format!("vars.{path}") };
            let value = &sample[path.split('.').next().unwrap()][path.split('.').nth(1).unwrap()];
            (
                name.to_owned(),
                value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned),
            )
        })
        .collect();
    assert_eq!(environment.len(), 12, "{environment:?}");
    environment
}

#[test]
fn netdatas_agent_says_what_its_cloud_says() {
    let folder = tempfile::TempDir::new().unwrap();
    let sent = folder.path().join("sent");
    let sample = sample("netdata/firing.json");
    let [cloud] = &events(Tool::Netdata, &sample.to_string())[..] else { panic!("one event") };
    let at = (cloud.at.unwrap().0 / 1_000).to_string();
    let text = |name: &str| sample[name].as_str().unwrap();
    let fields = agent(
        &[
            ("name", text("alert")),
            ("host", "db-orders-01"),
            ("chart", text("chart")),
            ("family", text("family")),
            ("status", "CRITICAL"),
            ("value_string", "97.3 %"),
            ("info", text("info")),
            ("when", &at),
        ],
        &sent,
    );
    let [agent] = &events(Tool::Netdata, &fields.to_string())[..] else { panic!("one event") };
    // The agent has no page to link to, and so another key.
    let expected = Event { key: agent.key.clone(), url: String::new(), ..cloud.clone() };
    assert_eq!(*agent, expected);
}

/// Runs the agent's function with these variables, and gives the fields of the form that it would post.
fn agent(variables: &[(&str, &str)], sent: &Path) -> Value {
    let script = r#". "$1"; docurl() { printf '%s\n' "$@" >"$SENT"; printf 202; }; sent=0; custom_sender; test "$sent" = 1"#;
    let output = Command::new("bash")
        .args(["-c", script, "bash", &format!("{FOLDER}/netdata-custom-sender.sh")])
        .env("SENT", sent)
        .env("QUELL_TOKEN_FILE", "/dev/null")
        .envs(variables.iter().copied())
        .output()
        .expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let words = std::fs::read_to_string(sent).unwrap();
    let words: Vec<&str> = words.lines().collect();
    let fields = words.windows(2).filter(|two| two[0] == "--data-urlencode").map(|two| two[1].split_once('=').unwrap());
    Value::Object(fields.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<String, Value>>())
}
