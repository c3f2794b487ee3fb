use super::*;
use crate::model::Labels;

struct Sample(Labels);

impl Scope for Sample {
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>> {
        match (root, name) {
            ("labels", name) => Some(self.0.get(name).into()),
            ("incident", "count") => Some("3".into()),
            _ => None,
        }
    }

    fn value(&self) -> Value {
        let labels: BTreeMap<String, String> = self.0.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        minijinja::context! { labels => Value::from(labels), incident => minijinja::context! { count => 3 } }
    }
}

fn sample() -> Sample {
    Sample(Labels::from_pairs([("host", "db-1"), ("evil", "{{ labels.host }}{% x %}"), ("port", "9100")]).unwrap())
}

fn rendered(text: &str) -> Result<String, String> {
    Template::compile(text).map_err(|(message, at)| format!("{at:?} {message}"))?.render(&sample())
}

fn is_plain(text: &str) -> bool {
    matches!(Template::compile(text).unwrap().body, Body::Plain(_))
}

#[test]
fn renders() {
    let cases = [
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("{{ labels.host }}", "db-1"),
        ("a {{labels.host}}:{{ labels.port }} ({{ incident.count }})\n", "a db-1:9100 (3)"),
        ("{{ labels.absent }}|", "|"),
        ("{{ labels.evil }}", "{{ labels.host }}{% x %}"),
        ("{{ labels.evil | trim }}", "{{ labels.host }}{% x %}"),
        ("{{ labels.host | upper }}", "DB-1"),
        ("{{ labels['host'] }}", "db-1"),
        ("{{ labels.absent | default('none', true) }}", "none"),
        ("{% if labels.zone %}in {{ labels.zone }}{% else %}nowhere{% endif %}", "nowhere"),
        ("{{ 'many' if incident.count > 2 else 'few' }}", "many"),
        ("{{ (labels.host | split('-') | last) ~ '!' }}", "1!"),
        ("{{ labels.port | int + 1 }}", "9101"),
        ("{{ labels.host | replace('db', '<b>') }}", "<b>-1"),
        ("{# nothing #}x", "x"),
    ];
    for (text, expected) in cases {
        assert_eq!(rendered(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn faults_have_words_and_places() {
    let cases = [
        ("{{ labels.host", "Some(10) syntax error: unexpected end of input, expected end of variable block"),
        ("{{ other.x }}", "`other.x` is not known"),
        ("{{ other.x | upper }}", "undefined value"),
        ("{{ labels['absent'] | upper }}", "undefined value: `labels['absent']` is undefined"),
        ("ab {% for x in labels %}{% endfor %}", "Some(3) `{% for %}` is not allowed, only conditions are"),
        ("{% set a = 1 %}", "Some(0) `{% set %}` is not allowed, only conditions are"),
        ("{%- include 'x' %}", "Some(0) `{% include %}` is not allowed, only conditions are"),
        ("{% if labels.x %}", "Some(15) syntax error: unexpected end of input, expected end of block"),
    ];
    for (text, expected) in cases {
        assert_eq!(rendered(text), Err(expected.to_owned()), "{text}");
    }
    let (message, _) = Template::compile(&"x".repeat(TEMPLATE_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(message, "a template is at most 4096 bytes long, this one has 4097");
}

#[test]
fn what_only_a_trial_finds() {
    for text in ["{{ labels.x | uper }}", "{{ labels.x is uper }}", "{{ labels.x | replace('a') }}"] {
        assert!(Template::compile(text).unwrap().try_out().is_err(), "{text}");
    }
    for text in ["{{ labels.x | int + 1 }}", "{{ labels.x.y.z | upper }}", "{{ labels.x[0] }}", "x"] {
        assert_eq!(Template::compile(text).unwrap().try_out(), Ok(()), "{text}");
    }
}

#[test]
fn output_and_steps_are_bounded() {
    let long = Sample(Labels::from_pairs([("a", "ä".repeat(20_000).as_str())]).unwrap());
    for text in ["x{{ labels.a }}y", "x{{ labels.a | lower }}y"] {
        let output = Template::compile(text).unwrap().render(&long).unwrap();
        assert!(output.len() <= OUTPUT_BYTES_MAX && output.len() > OUTPUT_BYTES_MAX - 8 && output.ends_with("ä…"), "{text}");
    }
    let product = Template::compile("{{ labels.a | replace('ä', labels.a) }}").unwrap();
    assert_eq!(product.render(&long), Err("invalid operation: the text after `replace` would be too long".to_owned()));
    let busy = "{{ 1 if 1 > 2 else 3 }}".repeat(170);
    assert!(Template::compile(&busy).unwrap().render(&long).is_ok());
}

#[test]
fn names_and_their_places() {
    let cases = [
        ("{{ by.a }} {{ labels.b }}", vec![("by", Some("a"), Some(3)), ("labels", Some("b"), Some(14))]),
        ("{{ by.a | upper }}{{ x }}", vec![("by", Some("a"), Some(3)), ("x", None, Some(21))]),
        ("text", vec![]),
    ];
    for (text, expected) in cases {
        let template = Template::compile(text).unwrap();
        let names: Vec<_> = template.names().iter().map(|n| (&*n.root, n.field.as_deref(), n.offset)).collect();
        assert_eq!(names, expected, "{text}");
    }
    assert!(Template::compile("{{ incident.count | int }}").unwrap().uses("incident"));
    assert!(!Template::compile("{{ by.incident }}").unwrap().uses("incident"));
}

#[test]
fn plain_fields_never_enter_minijinja() {
    for (text, plain) in [
        ("{{ by.a }} on {{labels.b_2}}", true),
        ("no template", true),
        ("{{ by.a.b }}", false),
        ("{{- by.a }}", false),
        ("{{ by }}", false),
        ("{{ labels.1 }}", false),
    ] {
        assert_eq!(Template::compile(text).is_ok_and(|_| is_plain(text)), plain, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn the_fast_path_says_what_minijinja_says(text in "([a-z{}\n\r]|\\{\\{ ?(labels|incident|nope)\\.(host|count|evil|x) ?\\}\\}){0,8}") {
        if let Some(parts) = plain_parts(&text) {
            let fast = Template::from_parts(&parts).render(&sample()).ok();
            let mut environment = environment();
            let slow = match environment.add_template_owned(ONLY, text.clone()) {
                Ok(()) => {
                    let names = names(&environment, &text).into();
                    Template { body: Body::Jinja(Arc::new(environment)), names }.render(&sample()).ok()
                }
                Err(_) => None,
            };
            // `incident.x` is undefined there and unknown here: both are faults.
            proptest::prop_assert_eq!(fast, slow, "{}", text);
        }
    }
}

/// What hangs on one another takes minijinja's stack: as much of it as is allowed fits a thread's, and more is refused.
#[test]
fn templates_are_not_too_deep() {
    let shapes: [(&str, &str, &str); 9] = [
        ("-", "1", ""),
        ("not ", "true", ""),
        ("", "labels", "|upper"),
        ("", "labels", ".a"),
        ("", "1", "~1"),
        ("1 if 1 else ", "1", ""),
        ("(", "1", ")"),
        ("{1:", "1", "}"),
        ("{% if 1 %}", "x", "{% endif %}"),
    ];
    for (before, middle, behind) in shapes {
        let text = |n: usize| {
            let inner = format!("{}{middle}{}", before.repeat(n), behind.repeat(n));
            if before.starts_with("{%") { inner } else { format!("{{{{ {inner} }}}}") }
        };
        for n in [10, 100, 590] {
            // Some of these minijinja refuses itself; what matters is that it comes back.
            if let Ok(template) = Template::compile(&text(n)) {
                drop(template.render(&sample()));
                drop(template.try_out());
            }
        }
        let length = (before.len() + behind.len()).max(2);
        let (message, _) = Template::compile(&text((TEMPLATE_BYTES_MAX - 40) / length)).unwrap_err();
        assert!(
            message.contains("at most 600 signs") || message.contains("recursion") || message.contains("syntax"),
            "{before}: {message}"
        );
    }
}
