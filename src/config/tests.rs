use std::collections::BTreeMap;

use super::*;

type Loaded = Result<(Config, Vec<Warning>), Vec<ConfigError>>;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn load_with(text: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Loaded {
    load_text("quell.yaml", text, &map(env), &map(flags))
}

fn config(text: &str) -> Config {
    load_with(text, &[("KEY", "k3y")], &[]).unwrap().0
}

fn faults(loaded: Loaded) -> Vec<String> {
    loaded.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9093");
    assert_eq!((config.data.to_str(), config.rules.to_str()), (Some("data"), Some("rules")));
    assert_eq!(config.sources.len(), 1);
    assert_eq!((&*config.sources[0].name, config.sources[0].format), ("prometheus", SourceFormat::Prometheus));
    assert_eq!((config.limits.labels_per_alert, config.limits.body_bytes), (64, 16 << 20));
    assert_eq!(config.resolve_timeout, Millis::minutes(5));
    assert!(check_exposure(&config).is_ok());
}

#[test]
fn each_layer_wins_over_the_one_before() {
    type Pairs = &'static [(&'static str, &'static str)];
    let file = "listen: 127.0.0.1:1\nlimits: { json_depth: 10 }";
    let cases: [(Pairs, Pairs, &str); 3] = [
        (&[], &[], "127.0.0.1:1 10 64"),
        (&[("QUELL_LISTEN", "127.0.0.1:2"), ("QUELL_LIMITS__LABELS_PER_ALERT", "9")], &[], "127.0.0.1:2 10 9"),
        (&[("QUELL_LISTEN", "127.0.0.1:2")], &[("listen", "127.0.0.1:3"), ("limits.json_depth", "7")], "127.0.0.1:3 7 64"),
    ];
    for (env, flags, expected) in cases {
        let (config, warnings) = load_with(file, env, flags).unwrap();
        let limits = &config.limits;
        assert_eq!(format!("{} {} {}", config.listen, limits.json_depth, limits.labels_per_alert), expected);
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn everything_that_a_site_can_say() {
    let config = config(
        r#"
external_url: https://quell.example
sources:
  - { name: prometheus, format: prometheus, token: { env: KEY } }
  - { name: am, format: alertmanager, labels: { env: prod } }
  - name: batch-jobs
    format: generic
    map:
      each: body.events
      labels: { alertname: "{{ item.job }}Failed", host: "{{ item.node }}" }
      status: "{{ 'resolved' if item.state == 'OK' else 'firing' }}"
      identity: [alertname, host]
      resolve_after: 2h
receivers:
  - name: dba-pager
    pagerduty: { routing_key: { env: KEY } }
  - { name: hook, webhook: { url: "https://hooks.example/quell", secret: { env: KEY } } }
  - { name: am, alertmanager_webhook: { url: "http://am.example", send_resolved: false } }
  - { name: mail, email: { host: mx.example, port: 465, from: a@x.example, to: [b@x.example] } }
  - { name: tickets, servicenow: { url: "https://x.service-now.com", user: quell, password: { env: KEY } } }
  - { name: out, log: {} }
tokens: [{ name: ops, token: { env: KEY } }]
outbound: public-only
retention: { age: 7d }
"#,
    );
    let timeouts: Vec<_> = config.sources.iter().map(|source| source.timeout(config.resolve_timeout)).collect();
    assert_eq!(timeouts, [Some(Millis::minutes(5)), None, Some(Millis::hours(2))]);
    assert!(config.sources[0].tokens[0].is(b"k3y"));
    assert_eq!(config.sources[1].labels.get("env"), "prod");
    assert_eq!(config.sources[2].map.as_ref().unwrap().labels.len(), 2);
    let kinds: Vec<String> = config.receivers.iter().map(|receiver| format!("{:?}", receiver.kind)).collect();
    let begins =
        ["Pagerduty { url: \"https://events.pagerduty.com", "Webhook", "AlertmanagerWebhook", "Email", "Servicenow", "Log"];
    for (kind, begin) in kinds.iter().zip(begins) {
        assert!(kind.starts_with(begin) && !kind.contains("k3y"), "{kind}");
    }
    assert!(matches!(&config.receivers[3].kind, ReceiverKind::Email(mail) if mail.tls == SmtpTls::Implicit));
    assert_eq!((config.outbound, config.retention.age), (Outbound::PublicOnly, Millis::hours(7 * 24)));
}

#[test]
fn every_fault_has_its_place_and_a_hint() {
    let cases: &[(&str, &[&str])] = &[
        ("sources: [{ name: a }]", &["quell.yaml:1:11: `sources[0].format` is missing"]),
        (
            "sources: [{ name: a, format: nagio }]",
            &["quell.yaml:1:30: `sources[0].format` \"nagio\" is none of prometheus, alertmanager, generic, azure-monitor, \
               checkmk, cloudevents, cloudwatch, datadog, dynatrace, elastic, gcp-monitoring, grafana, honeycomb, icinga2, librenms, \
               nagios, netdata, newrelic, opsgenie, pagerduty-events-v2, pingdom, prtg, sentry, splunk, statuscake, uptime-kuma, \
               zabbix"],
        ),
        (
            "sources: [{ name: prometheus, resolve_after: 5m }]",
            &["quell.yaml:1:46: `sources[0].resolve_after` is `resolve_timeout`, at the top, for format `prometheus`"],
        ),
        (
            "sources: [{ name: quell, format: nagios, silent_after: soon, drift: 2 }]",
            &[
                "quell.yaml:1:19: `sources[0].name` is the name that Quell's own alerts come under; choose another",
                "quell.yaml:1:56: `sources[0].silent_after` \"soon\" is no length of time above 0, such as 90s, 5m or 1d12h",
                "quell.yaml:1:69: `sources[0].drift` must be true or false",
            ],
        ),
        ("listn: x", &["quell.yaml:1:8: unknown key `listn`\n  hint: did you mean `listen`?"]),
        ("limits:\n  body_byte: 5", &["quell.yaml:2:14: unknown key `limits.body_byte`\n  hint: did you mean `body_bytes`?"]),
        ("limits: { rules: 0 }", &["quell.yaml:1:18: `limits.rules` must be above 0"]),
        ("limits: { rules: many }", &["quell.yaml:1:18: `limits.rules` must be a whole number"]),
        (
            "resolve_timeout: 5",
            &["quell.yaml:1:18: `resolve_timeout` \"5\" is no length of time above 0, such as 90s, 5m or 1d12h"],
        ),
        (
            "resolve_timeout: 5x",
            &["quell.yaml:1:18: `resolve_timeout` \"5x\" is no length of time above 0, such as 90s, 5m or 1d12h"],
        ),
        ("outbound: closed", &["quell.yaml:1:11: `outbound` \"closed\" is none of open, public-only"]),
        ("data:\n", &["quell.yaml:1:5: `data` has no value"]),
        ("teams: []", &["quell.yaml:1:8: `teams` is not supported yet"]),
        (
            "listen: 127.0.0.1\ninsecure: maybe",
            &[
                "quell.yaml:1:9: `listen` must be an address with a port, such as 127.0.0.1:9093",
                "quell.yaml:2:11: `insecure` must be true or false",
            ],
        ),
        (
            "sources: [{ name: a, format: generic }]",
            &["quell.yaml:1:11: `sources[0].map` is missing: it says how the JSON of format `generic` becomes alerts"],
        ),
        (
            "sources: [{ name: a, format: alertmanager, map: { labels: { a: b } } }]",
            &["quell.yaml:1:49: `sources[0].map` belongs to format `generic` only"],
        ),
        (
            "sources: [{ name: a, format: alertmanager, labels: { '': b } }]",
            &["quell.yaml:1:52: `sources[0].labels` has a label without a name"],
        ),
        (
            "sources: [{ name: a, format: alertmanager }, { name: a, format: alertmanager }]",
            &["quell.yaml:1:54: there are two sources named `a`"],
        ),
        (
            "sources: [{ name: report, format: alertmanager }]",
            &["quell.yaml:1:19: `sources[0].name` is what alerts of Quell's own have as their source; take another name"],
        ),
        (
            "receivers: [{ name: a, log: {}, email: {} }]",
            &[
                "quell.yaml:1:13: the receiver `a` must have exactly one of pagerduty, webhook, alertmanager_webhook, email, servicenow, log",
            ],
        ),
        (
            "receivers: [{ name: a, webhook: { url: \"ftp://x\", secret: { env: NONE } } }]",
            &[
                "quell.yaml:1:40: `receivers[0].webhook.url` must begin with https:// or http:// and a host",
                "quell.yaml:1:59: `receivers[0].webhook.secret` wants the variable NONE, which is not set",
            ],
        ),
        (
            "receivers: [{ name: a, slack: {} }]",
            &[
                "quell.yaml:1:13: the receiver `a` must have exactly one of pagerduty, webhook, alertmanager_webhook, email, servicenow, log",
                "quell.yaml:1:31: unknown key `receivers[0].slack`\n  hint: known here: name, pagerduty, webhook, \
                 alertmanager_webhook, email, servicenow, log",
            ],
        ),
        ("receivers: [{ name: ' ', log: {} }]", &["quell.yaml:1:21: `receivers[0].name` is empty"]),
        ("data: ''", &["quell.yaml:1:7: `data` is empty"]),
        ("rules: {}", &["quell.yaml:1:8: `rules` must be a text; put it in quotes"]),
        ("sources: {}", &["quell.yaml:1:10: `sources` must be a list"]),
        ("external_url: quell.example", &["quell.yaml:1:15: `external_url` must begin with https:// or http:// and a host"]),
        ("listen: a\nlisten: b", &["quell.yaml:2:1: duplicate mapping key: listen"]),
        ("a: [", &["quell.yaml:1:4: unclosed bracket '['"]),
        (
            "sources: [{ name: a, format: nagios, token_header: 'x y' }]",
            &[
                "quell.yaml:1:52: `sources[0].token_header` \"x y\" is no name of a header",
                "quell.yaml:1:52: `sources[0].token` is missing: `token_header` says where it comes",
            ],
        ),
        (
            "sources: [{ name: a, format: nagios, signature: { secret: k3y } }]",
            &["quell.yaml:1:49: `sources[0].signature.scheme` is missing"],
        ),
        (
            "sources: [{ name: a, format: nagios, signature: { scheme: md5, secret: { env: NONE }, windw: 5m } }]",
            &[
                "quell.yaml:1:59: `sources[0].signature.scheme` \"md5\" is none of github, grafana, pagerduty, sentry, standard-webhooks",
                "quell.yaml:1:72: `sources[0].signature.secret` wants the variable NONE, which is not set",
                "quell.yaml:1:94: unknown key `sources[0].signature.windw`\n  hint: did you mean `window`?",
            ],
        ),
        (
            "sources: [{ name: a, format: nagios, signature: { scheme: standard-webhooks, secret: [whsec_c4nary, QUJDRA==] } }]",
            &[
                "quell.yaml:1:86: `sources[0].signature.secret` must be `whsec_` and base64 of 24 to 64 bytes; this is no base64",
                "quell.yaml:1:86: `sources[0].signature.secret` must be `whsec_` and base64 of 24 to 64 bytes; this has 4",
            ],
        ),
        (
            "sources: [{ name: a, format: sentry, signature: { timestamp_header: x } }]",
            &[
                "quell.yaml:1:49: `sources[0].signature.secret` is missing",
                "quell.yaml:1:69: `sources[0].signature.timestamp_header` belongs to the scheme `grafana` only",
            ],
        ),
        (
            "sources: [{ name: a, format: nagios, token: [] }]",
            &["quell.yaml:1:45: `sources[0].token` must have 1 to 8 secrets, not 0"],
        ),
        (
            "sources: [{ name: a, format: nagios, sns: { topics: [t], raw: true } }]",
            &[
                "quell.yaml:1:53: `sources[0].sns.topics` has \"t\", which is no topic's ARN, such as arn:aws:sns:eu-west-1:123456789012:alarms",
                "quell.yaml:1:63: `sources[0].sns.raw` needs a `token` of the source: raw messages carry no signature",
                "quell.yaml:1:43: `sources[0].sns` belongs to format `cloudwatch` only",
            ],
        ),
        (
            "sources: [{ name: a, format: cloudwatch, sns: { certificate: { file: /none/such } } }]",
            &[
                "quell.yaml:1:70: `sources[0].sns.certificate.file` cannot be read from /none/such: No such file or directory (os error 2)",
                "quell.yaml:1:47: `sources[0].sns.topics` must name the topics that may send",
            ],
        ),
        (
            "sources: [{ name: a, format: opsgenie, token: [c4nary, 5], signature: { scheme: github, secret: c4nary } }]",
            &[
                "quell.yaml:1:56: `sources[0].token[1]` must be { file: … }, { env: … } or a text in quotes",
                "quell.yaml:1:71: `sources[0].signature` cannot be of this format, whose senders have a key and nothing else",
            ],
        ),
        (
            "sources: [{ name: a, format: nagios, token_field: Token, handshake: { origins: [x], rate: 0 } }]",
            &[
                "quell.yaml:1:91: `sources[0].handshake.rate` must be above 0",
                "quell.yaml:1:51: `sources[0].token` is missing: `token_field` says where it comes",
                "quell.yaml:1:69: `sources[0].handshake` belongs to format `cloudevents` only",
            ],
        ),
        (
            "sources: [{ name: a, format: cloudevents, handshake: { origins: ['*.example.com'] } }]",
            &["quell.yaml:1:65: `sources[0].handshake.origins` has \"*.example.com\", which is no DNS name"],
        ),
        (
            "sources: [{ name: prometheus, token: c4nary, token_field: x }]",
            &["quell.yaml:1:59: `sources[0].token_field` cannot be of this format, whose bodies are lists"],
        ),
        (
            "sources: [{ name: a, format: nagios, signature: { scheme: github, public_key: whpk_QUJDRA== } }]",
            &[
                "quell.yaml:1:79: `sources[0].signature.public_key` belongs to the scheme `standard-webhooks` only",
                "quell.yaml:1:79: `sources[0].signature.public_key` must be `whpk_` and base64 of 32 bytes",
                "quell.yaml:1:49: `sources[0].signature.secret` is missing",
            ],
        ),
        (
            "tls: { listn: 127.0.0.1:9443 }",
            &[
                "quell.yaml:1:6: `tls.listen` is missing",
                "quell.yaml:1:6: `tls.certificate` is missing",
                "quell.yaml:1:6: `tls.key` is missing",
                "quell.yaml:1:15: unknown key `tls.listn`\n  hint: did you mean `listen`?",
            ],
        ),
        (
            "sources: [{ name: a, format: netdata, client_certificate: ['*.x'] }]",
            &[
                "quell.yaml:1:59: `sources[0].client_certificate` has \"*.x\", which is no DNS name",
                "the source `a` asks for a `client_certificate`, and nobody can show one\n  hint: set `tls` with a `client_ca`",
            ],
        ),
        ("tokens: [{ name: a }]", &["quell.yaml:1:10: `tokens[0].token` is missing"]),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(load_with(text, &[], &[])), *expected, "{text}");
    }
    assert_eq!(
        faults(load_with("", &[("QUELL_LIMITS__RULES", "x")], &[("listen", "y")])),
        [
            "--listen: `listen` must be an address with a port, such as 127.0.0.1:9093",
            "the environment: `limits.rules` must be a whole number",
        ]
    );
}

#[test]
fn text_that_is_no_map_is_an_error_with_a_place() {
    for text in ["- a", "just words", "a: [1, 2", "listen: 1\nlisten: 2", "\ta: b"] {
        let faults = faults(load_with(text, &[], &[]));
        assert!(faults.len() == 1 && faults[0].starts_with("quell.yaml"), "{text}: {faults:?}");
    }
}

#[test]
fn secrets_come_from_files_and_variables_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "c4nary\n").unwrap();
    let text = |secret: &str| format!("tokens: [{{ name: ops, token: {secret} }}]");
    let (config, warnings) = load_with(&text(&format!("{{ file: {} }}", file.display())), &[], &[]).unwrap();
    assert!(config.tokens[0].token.is(b"c4nary") && warnings.is_empty());
    let (config, warnings) = load_with(&text("c4nary"), &[], &[]).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(config.tokens[0].token.is(b"c4nary"));
    assert!(!format!("{config:?} {warnings:?}").contains("c4nary"));
    for secret in ["{ file: /none/such }", "{ env: A, file: b }", "{}", "12", "[c4nary]", "''"] {
        let faults = faults(load_with(&text(secret), &[], &[]));
        assert!(faults.len() == 1 && !faults[0].contains("c4nary"), "{secret}: {faults:?}");
    }
}

#[test]
fn unknown_variables_are_warned_of() {
    let (_, warnings) = load_with("", &[("QUELL_LISTN", "x"), ("QUELL_CONFIG", "y"), ("HOME", "z")], &[]).unwrap();
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["the environment: the variable QUELL_LISTN sets nothing"]);
}

#[test]
fn a_public_address_needs_tokens_everywhere() {
    let source = "sources: [{ name: prometheus, format: prometheus, token: { env: KEY } }]";
    let token = "tokens: [{ name: ops, token: { env: KEY } }]";
    let cases = [
        (String::new(), Some("source `prometheus`, the API (`tokens`)")),
        (source.to_owned(), Some("a token for the API (`tokens`)")),
        (token.to_owned(), Some("a token for source `prometheus`")),
        (format!("{source}\n{token}"), None),
        ("insecure: true".to_owned(), None),
        (
            format!(
                "{token}\nsources: [{{ name: prometheus, token: {{ env: KEY }} }}, {{ name: a, format: grafana, signature: {{ secret: {{ env: KEY }} }} }}]"
            ),
            None,
        ),
        (
            format!(
                "{token}\nsources: [{{ name: prometheus, token: {{ env: KEY }} }}, {{ name: a, format: cloudwatch, sns: {{ topics: ['arn:aws:sns:r:1:t'] }} }}]"
            ),
            None,
        ),
    ];
    for (text, expected) in cases {
        let config = config(&format!("listen: 0.0.0.0:9093\n{text}"));
        let message = check_exposure(&config).err().map(|error| error.message);
        assert_eq!(message.is_some(), expected.is_some(), "{text}");
        assert!(message.unwrap_or_default().contains(expected.unwrap_or("")), "{text}");
    }
    let (_, warnings) = load_with("listen: 0.0.0.0:9093\ninsecure: true", &[], &[]).unwrap();
    assert_eq!(warnings[0].code, "insecure");
}

/// Each default stands in the page as the row of its key.
#[test]
fn the_page_of_the_configuration_has_every_key_and_default() {
    let page = include_str!("../../docs/configuration.md");
    let mut section = String::new();
    for line in DEFAULTS.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.trim().split_once(':').unwrap();
        if value.is_empty() {
            section = format!("{key}.");
            continue;
        }
        let path = if line.starts_with(' ') { format!("{section}{key}") } else { key.to_owned() };
        let row = format!("| `{path}` | `{}` |", value.trim());
        assert!(page.contains(&row), "docs/configuration.md lacks {row}");
    }
    let without_default = "external_url sources receivers tokens name format token labels map each annotations status starts_at ends_at \
        identity resolve_after silent_after drift pagerduty webhook alertmanager_webhook email servicenow log url routing_key secret max_alerts \
        send_resolved bearer token_header signature sns client_certificate tls client_ca key certificate scheme secret header timestamp_header public_key token_field handshake origins rate window topics confirm certificate raw host port tls user password from to assignment_group caller_id close_code categories file env";
    for key in without_default.split_whitespace() {
        assert!(page.contains(&format!("`{key}`")), "docs/configuration.md lacks `{key}`");
    }
}
