//! Every operator and every fault, as tables. What it all means together with rules is told in `tests/spec/expressions.md`.

mod against_cel;

use super::*;
use crate::model::{Incident, IncidentId, Labels, Millis, RuleRef, Severity, Time};

/// One expression, and what comes of it under the alert or the incident below.
type Row = (&'static str, Result<bool, Failure>);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// Evaluates for an alert.
fn of_alert(text: &str) -> Result<bool, Failure> {
    let expression = Expression::compile(text, Sees::Alert).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let labels = labels(&[("host", "db-1"), ("env", "prod"), ("port", "9100"), ("load", "1.5"), ("a.b", "x"), ("name", "Grüße")]);
    let annotations = self::labels(&[("summary", "line one\nline two")]);
    let subject = Subject::Alert(AlertSubject { labels: &labels, annotations: &annotations, source: "prometheus" });
    let result = expression.evaluate(&subject);
    let (matchers, rest) = expression.into_matchers();
    let cut = matchers.iter().all(|matcher| matcher.matches(&labels)) && rest.is_none_or(|rest| rest.holds(&subject));
    assert_eq!(cut, result == Ok(true), "{text} cut into {matchers:?} and a rest");
    result
}

/// Evaluates for an incident.
fn of_incident(text: &str) -> Result<bool, Failure> {
    let expression = Expression::compile(text, Sees::Incident).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let mut incident = Incident::opened(IncidentId(1), RuleRef::built_in("r"), "t".into(), 1, Time(0));
    incident.alerts_total = 7;
    incident.severity = Severity::High;
    incident.priority = 2;
    incident.category = "database".into();
    incident.services = std::sync::Arc::new(vec!["cart".into(), "checkout".into()]);
    incident.labels = std::sync::Arc::new(labels(&[("env", "prod")]));
    let distinct = |label: &str| if label == "host" { 3 } else { 1 };
    let now = Time(0) + Millis::minutes(5);
    expression.evaluate(&Subject::Incident(IncidentSubject { incident: &incident, now, distinct: &distinct }))
}

#[test]
fn what_an_expression_looks_at_is_told() {
    let expression = Expression::compile("labels.a == \"b\" || int(labels.n) > 3 && labels.a != source", Sees::Alert).unwrap();
    let labels = Labels::from_pairs([("a", "c"), ("n", "2")]).unwrap();
    let subject = Subject::Alert(AlertSubject { labels: &labels, annotations: &Labels::default(), source: "prom" });
    let told: Vec<String> = expression.values(&subject).iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(told, ["labels.a \"c\"", "labels.n \"2\"", "source \"prom\""]);
    let (_, rest) = Expression::compile("labels.a == \"b\" && int(labels.n) > 3", Sees::Alert).unwrap().into_matchers();
    assert_eq!(rest.unwrap().text(), "labels.a == \"b\" && int(labels.n) > 3", "matchers say a part, and people read the whole");
}

#[test]
fn values_and_operators() {
    const NO_NUMBER: Result<bool, Failure> = Err(Failure::NoNumber);
    let cases: [Row; 79] = [
        ("true", Ok(true)),
        ("!true", Ok(false)),
        ("!!true && !!!false", Ok(true)),
        ("!!!!!!true", Ok(true)),
        // Fields
        (r#"labels.host == "db-1""#, Ok(true)),
        (r#"labels["a.b"] == 'x'"#, Ok(true)),
        (r#"labels.absent == """#, Ok(true)),
        (r#"annotations.summary.contains("two")"#, Ok(true)),
        (r#"source == "prometheus""#, Ok(true)),
        (r#""host" in labels && !("absent" in labels)"#, Ok(true)),
        ("labels.host in labels", Ok(false)),
        ("size(labels) == 6 && annotations.size() == 1", Ok(true)),
        // Texts: literals
        (r"labels.host == 'db-1'", Ok(true)),
        (r#"labels.host == """db-1""""#, Ok(true)),
        ("labels.host == '''db-1'''", Ok(true)),
        (r#"labels.host == r"db-1""#, Ok(true)),
        (r#"r"\d" == "\\d" && R'\n' == '\\n'"#, Ok(true)),
        (r#""\x41\u00e9\U0001F600\101" == "Aé😀A""#, Ok(true)),
        (r#""\a\b\f\n\r\t\v\\\?\"\'\`" == '\007\010\014\012\015\011\013\134\077\042\047\140'"#, Ok(true)),
        ("annotations.summary == \"\"\"line one\nline two\"\"\"", Ok(true)),
        (r#""" == '' && """""" == ''"#, Ok(true)),
        // Texts: functions
        (r#"labels.host.startsWith("db")"#, Ok(true)),
        (r#"labels.host.startsWith("DB")"#, Ok(false)),
        (r#"labels.host.endsWith("-1")"#, Ok(true)),
        (r#"labels.host.contains("b-")"#, Ok(true)),
        (r#"labels.host.contains("")"#, Ok(true)),
        (r#"labels.host.matches("^db-[0-9]+$")"#, Ok(true)),
        (r#"labels.host.matches("b")"#, Ok(true)),
        (r#"matches(labels.host, "^b")"#, Ok(false)),
        (r#"annotations.summary.matches("one.line")"#, Ok(false)),
        (r#"annotations.summary.matches("(?s)one.line")"#, Ok(true)),
        ("labels.name.size() == 5 && size(labels.name) == 5", Ok(true)),
        (r#""b" > "a" && "B" < "a" && "é" > "z""#, Ok(true)),
        // Numbers
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3", Ok(true)),
        ("0x1F == 31 && -5 < 0 && .5 == 0.5 && 1e3 == 1000 && 1.5E-1 == 0.15", Ok(true)),
        ("-9223372036854775808 < 9223372036854775807", Ok(true)),
        ("9007199254740993 > 9007199254740992.0", Ok(true)),
        ("1 == 1.0 && 1 < 1.5 && -1 > -1.5 && 1.5 > 1", Ok(true)),
        ("9223372036854775807 < 1e19 && -9223372036854775808 > -1e19", Ok(true)),
        ("int(labels.port) > 9000", Ok(true)),
        ("int(labels.host) > 9000", NO_NUMBER),
        ("int(labels.load) > 1", NO_NUMBER),
        ("double(labels.load) > 1.25", Ok(true)),
        (r#"double("nan") > 1.0"#, NO_NUMBER),
        (r#"double("inf") > 1.0"#, NO_NUMBER),
        // Lists
        (r#"labels.env in ["prod", "dev"]"#, Ok(true)),
        (r#"labels.env in ["dev", labels.host]"#, Ok(false)),
        ("labels.env in []", Ok(false)),
        ("2 in [1, 2, 3,] && 2.0 in [1, 2]", Ok(true)),
        ("[1, 2] == [1, 2] && [1] != [1, 2] && [] == [] && [1] != [2]", Ok(true)),
        ("size([1, 2]) == 2 && [].size() == 0", Ok(true)),
        (r#"["a", "b"][1] == "b""#, Ok(true)),
        (r#"["a"][1] == "b""#, Err(Failure::NoItem)),
        (r#"["a"][-1] == "b""#, Err(Failure::NoItem)),
        ("[true, false][0]", Ok(true)),
        ("1 in [1, int(labels.host)]", NO_NUMBER),
        ("[duration('1m')] == [duration('60s')]", Ok(true)),
        // Binding
        ("true || false && false", Ok(true)),
        ("(true || false) && false", Ok(false)),
        ("!false == true", Ok(true)),
        ("1 < 2 == true", Ok(true)),
        ("true ? false : true", Ok(false)),
        ("false ? true : true ? false : true", Ok(false)),
        (r#"(labels.env == "prod" ? 10 : 100) == 10"#, Ok(true)),
        (r#"(labels.env == "dev" ? "a" : labels.host) == "db-1""#, Ok(true)),
        // Failures: absorbed by what decides, and by nothing else
        ("int(labels.host) > 0 || true", Ok(true)),
        ("true || int(labels.host) > 0", Ok(true)),
        ("int(labels.host) > 0 && false", Ok(false)),
        ("false && int(labels.host) > 0", Ok(false)),
        ("int(labels.host) > 0 || false", NO_NUMBER),
        ("int(labels.host) > 0 && true", NO_NUMBER),
        ("!(int(labels.host) > 0)", NO_NUMBER),
        ("(int(labels.host) > 0) == false", NO_NUMBER),
        ("int(labels.host) > 0 ? true : true", NO_NUMBER),
        ("true ? true : int(labels.host) > 0", Ok(true)),
        // Space and comments
        ("true // and so on\n && // more\n\tfalse\r\n", Ok(false)),
        ("false<true", Ok(true)),
        (r#"labels.env == "prod" && int(labels.port) == 9100"#, Ok(true)),
        (r#"labels.env == "dev" && int(labels.host) == 9100"#, Ok(false)),
    ];
    for (text, expected) in cases {
        assert_eq!(of_alert(text), expected, "{text}");
    }
}

#[test]
fn incidents() {
    let cases: [Row; 15] = [
        ("incident.count == 7", Ok(true)),
        (r#"incident.severity in ["critical", "high"]"#, Ok(true)),
        (r#""checkout" in incident.services"#, Ok(true)),
        (r#"incident.services == ["cart", "checkout"]"#, Ok(true)),
        ("incident.services.size() > 1", Ok(true)),
        (r#"incident.services[0].startsWith("cart")"#, Ok(true)),
        (r#"incident.services[2] == """#, Err(Failure::NoItem)),
        (r#"incident.labels.env == "prod" && incident.labels.host == """#, Ok(true)),
        (r#""env" in incident.labels"#, Ok(true)),
        (r#"incident.distinct("host") >= 3"#, Ok(true)),
        (r#"incident.category == "database" && incident.team == """#, Ok(true)),
        ("incident.priority <= 2", Ok(true)),
        ("incident.priority in [1, 2]", Ok(true)),
        (r#"incident.age >= duration("5m") && incident.age < duration("1h")"#, Ok(true)),
        (r#"incident.age == duration("300s")"#, Ok(true)),
    ];
    for (text, expected) in cases {
        assert_eq!(of_incident(text), expected, "{text}");
    }
}

/// Where each fault is underlined, what it says, and what to do.
#[test]
fn faults_have_places_words_and_hints() {
    let alert: &[(&str, &str)] = &[
        ("", "`` expected a value, but it ends here"),
        ("labels.a ==", "`` expected a value, but it ends here"),
        ("labels.a = 'x'", "`=` `=` means nothing in an expression (write `==`)"),
        ("labels.a =~ 'x'", "`=~` `=~` means nothing in an expression (write `labels.name.matches(\"…\")`)"),
        ("labels.a !~ 'x'", "`!~` `!~` means nothing in an expression (write `!labels.name.matches(\"…\")`)"),
        ("true & true", "`&` `&` means nothing in an expression (write `&&`)"),
        ("labels.a == “x”", "`“` `“` means nothing in an expression (write plain quotes: \")"),
        ("labels.é == ''", "`é` `é` means nothing in an expression"),
        ("labels.a == 'x", "`'x` the closing quote is missing"),
        ("labels.a == 'x\ny'", "`'x` the closing quote is missing (a text over several lines stands in \"\"\")"),
        (
            "labels.a == '\\d'",
            "`\\d` `\\d` is no escape that is known (a backslash itself is written `\\\\`; in a raw text it is nothing special: r\"\\d+\")",
        ),
        (
            "labels.a == '\\ud800'",
            "`\\u` `\\u` is no escape that is known (a backslash itself is written `\\\\`; in a raw text it is nothing special: r\"\\d+\")",
        ),
        ("labels.a == b'x'", "`b` there are no bytes in expressions (leave the `b` out: all values are texts)"),
        ("labels.a == null", "`null` there is no `null` (what is missing is the empty text: `== \"\"`)"),
        ("size(labels) > 5m", "`5m` `5m` is no number (a length of time is written `duration(\"5m\")`)"),
        ("size(labels) > 5u", "`5u` `5u` is no number (whole numbers are written without `u`)"),
        (
            "size(labels) > 99999999999999999999",
            "`99999999999999999999` `99999999999999999999` is no number (it is larger than any number here can be)",
        ),
        (
            "size(labels) > 9223372036854775808",
            "`9223372036854775808` `9223372036854775808` is larger than any number here can be",
        ),
        (
            "size(labels) + 1 > 2",
            "`+` `+` is not known in expressions (expressions compare and do not reckon; a label with a `-` in its name is `labels[\"a-b\"]`)",
        ),
        (
            "labels.a-b == 'x'",
            "`-` `-` is not known in expressions (expressions compare and do not reckon; a label with a `-` in its name is `labels[\"a-b\"]`)",
        ),
        ("labels.a == 'x' and true", "`and` expected an operator or the end, but found `and` (write `&&`)"),
        ("not true", "`true` expected an operator or the end, but found `true`"),
        ("(true", "`` expected `)`, but it ends here"),
        ("true)", "`)` expected an operator or the end, but found `)`"),
        ("labels.", "`` expected a name after the dot, but it ends here"),
        ("labels.in == 'x'", "`in` expected a name after the dot, but found `in`"),
        ("true ? true", "`` expected `:` and the other value, but it ends here"),
        ("size(labels,) > 1", "`)` expected a value, but found `)`"),
        ("labels == {'a': 'b'}", "`{` there are no maps in expressions (a list is written `[…]`)"),
        ("lables.a == 'x'", "`lables` `lables` is not known here (did you mean `labels`?)"),
        (
            "severity == 'x'",
            "`severity` `severity` is not known here (there are `labels`, `annotations` and `source`; a label is `labels.severity`)",
        ),
        (
            "incident.count > 1",
            "`incident` `incident` is not known here (an alert is in no incident yet: there are `labels`, `annotations` and `source`)",
        ),
        ("labels.a", "`labels.a` a text is neither true nor false (compare it: `… == \"…\"`)"),
        ("!labels.a == 'x'", "`labels.a` a text is neither true nor false (compare it: `… == \"…\"`)"),
        ("labels.a && true", "`labels.a` a text is neither true nor false (compare it: `… == \"…\"`)"),
        (
            "labels.port > 1000",
            "`labels.port > 1000` a text is compared with a whole number (a label is a text: `int(labels.port)`)",
        ),
        ("size(labels) == '2'", "`size(labels) == '2'` a whole number is compared with a text (a number has no quotes: `2`)"),
        ("labels == annotations", "`labels == annotations` a set of labels is compared with a set of annotations"),
        (
            "labels.a == ['x']",
            "`labels.a == ['x']` a text is compared with a list of texts (whether a list has it is asked by `in`)",
        ),
        (
            "['a'] < ['b']",
            "`['a'] < ['b']` a list of texts is neither more nor less than another (lists are compared by `==` and `!=`)",
        ),
        ("labels.a in 'abc'", "`'abc'` `in` looks into a list, not into a text (a part of a text is found by `.contains(…)`)"),
        ("labels.a in [1, 2]", "`labels.a` a text is looked for in a list of numbers"),
        ("labels.a in ['x', 1]", "`1` a whole number in a list of texts (all items of a list are of one kind)"),
        ("labels.a in [['x']]", "`['x']` a list of texts inside of a list"),
        ("labels[1] == 'x'", "`1` the name of a label is a text that is written out (write `labels[\"name\"]`)"),
        ("labels.a.b == 'x'", "`b` a text has no field `b`"),
        ("labels.a.size > 1", "`size` a text has no field `size` (a call has parentheses: `.size(…)`)"),
        ("labels.a[0] == 'x'", "`labels.a` a text has no items"),
        ("['x']['y'] == 'x'", "`'y'` an item's place in a list is a whole number, not a text (the first has 0)"),
        ("labels.a.startswith('x')", "`startswith` there is no function `startswith` (did you mean `value.startsWith(…)`?)"),
        (
            "labels.a.lower() == 'x'",
            "`lower` there is no function `lower` (there are `startsWith`, `endsWith`, `contains`, `matches`, `size`, `distinct`)",
        ),
        ("contains(labels.a, 'x')", "`contains` there is no function `contains` (it is called as `value.contains(…)`)"),
        (
            "has(labels.a)",
            "`has` there is no function `has` (a missing label is the empty text: `labels.name != \"\"`, or `\"name\" in labels`)",
        ),
        (
            "['a'].exists(x, x == 'a')",
            "`exists` there is no function `exists` (expressions have no loops; `in` looks into a list)",
        ),
        ("labels.a.startsWith()", "`labels.a.startsWith()` `startsWith` takes 1 value in its parentheses, not 0"),
        ("labels.a.startsWith('a', 'b')", "`labels.a.startsWith('a', 'b')` `startsWith` takes 1 value in its parentheses, not 2"),
        ("labels.a.size('a') > 1", "`labels.a.size('a')` `size` takes 0 values in its parentheses, not 1"),
        ("size(1) > 1", "`1` a whole number has no size (texts, lists and labels have one)"),
        ("labels.a.startsWith(1)", "`1` `startsWith` wants a text, not a whole number"),
        ("['a'].contains('a')", "`['a']` `contains` wants a text, not a list of texts (whether a list has it is asked by `in`)"),
        (
            "labels.a.matches(labels.b)",
            "`labels.b` `matches` wants a text that is written out (as in `labels.name.matches(\"^a.*\")`)",
        ),
        ("labels.a.matches('(')", "`'('` a regular expression that cannot be used: unclosed group"),
        (
            "int('1') == duration('x')",
            "`'x'` `x` is no length of time (write `30s`, `10m`, `1h30m` or `2d`; units are y w d h m s ms, the largest first)",
        ),
        ("(true ? 1 : 'x') == 1", "`1 : 'x'` the two values of a choice are a whole number and a text"),
        ("(true ? labels : labels).a == 'x'", "`labels` a choice between sets of labels (choose between labels)"),
        (
            "labels.a.distinct('x') > 1",
            "`labels.a` only `incident` counts the values of a label (write `incident.distinct(\"host\")`)",
        ),
    ];
    let incident: &[(&str, &str)] = &[
        (
            "incident",
            "`incident` `incident` is no value by itself (name one of its fields: `count`, `severity`, `services`, `labels`, `distinct`, `age`, `category`, `team`, `priority`, `type`)",
        ),
        ("incident.cuont > 1", "`cuont` `incident` has no `cuont` here (did you mean `count`?)"),
        (
            "incident.whatever > 1",
            "`whatever` `incident` has no `whatever` here (it has `count`, `severity`, `services`, `labels`, `distinct`, `age`, `category`, `team`, `priority`, `type`)",
        ),
        ("count > 1", "`count` `count` is not known here (did you mean `incident.count`?)"),
        (
            "labels.a == 'x'",
            "`labels` `labels` is not known here (`incident.labels` has the labels that all alerts of the incident share)",
        ),
        (
            "incident.priority == 'P1'",
            "`incident.priority == 'P1'` a whole number is compared with a text (priorities are the numbers 1 to 5)",
        ),
        ("incident.priority == 0", "`0` there is no priority 0 (priorities are the numbers 1 (critical) to 5)"),
        ("6 > incident.priority", "`6` there is no priority 6 (priorities are the numbers 1 (critical) to 5)"),
        ("incident.priority in [1, 7]", "`7` there is no priority 7 (priorities are the numbers 1 (critical) to 5)"),
        ("incident.severity == 'warning'", "`'warning'` there is no severity `warning` (senders' `warning` is `medium` here)"),
        (
            "incident.severity in ['critical', 'bad']",
            "`'bad'` there is no severity `bad` (an incident's severity is one of `critical`, `high`, `medium`, `low`, `info`)",
        ),
        (
            "incident.severity > 'high'",
            "`'high'` severities are words, and would be put in order by their letters (name those that you mean: `incident.severity in [\"critical\", \"high\"]`)",
        ),
        (
            "incident.age > 600",
            "`incident.age > 600` a length of time is compared with a whole number (a length of time is written `duration(\"5m\")`)",
        ),
        (
            "incident.age > '10m'",
            "`incident.age > '10m'` a length of time is compared with a text (a length of time is written `duration(\"5m\")`)",
        ),
        ("incident.distinct > 1", "`distinct` `distinct` counts the values of a label (write `incident.distinct(\"host\")`)"),
        (
            "incident.distinct(incident.team) > 1",
            "`incident.team` `distinct` takes the name of a label, written out (write `incident.distinct(\"host\")`)",
        ),
    ];
    let shown = |text: &str, sees| {
        let faults = Expression::compile(text, sees).expect_err(text);
        let one = |fault: &Fault| {
            let hint = if fault.hint.is_empty() { String::new() } else { format!(" ({})", fault.hint) };
            format!("`{}` {}{hint}", &text[fault.span.clone()], fault.message)
        };
        faults.iter().map(one).collect::<Vec<_>>()
    };
    for (text, expected) in alert {
        assert_eq!(shown(text, Sees::Alert), [*expected], "{text}");
    }
    for (text, expected) in incident {
        assert_eq!(shown(text, Sees::Incident), [*expected], "{text}");
    }
    let later = "it is decided later; at this stage there are `count`, `severity`, `services`, `labels`, `distinct`, `age`";
    let hidden = [
        ("incident.team == ''", Sees::IncidentToClassify, format!("`team` `incident` has no `team` here ({later})")),
        (
            "incident.priority < 3",
            Sees::IncidentToPrioritize,
            format!("`priority` `incident` has no `priority` here ({later}, `category`, `team`)"),
        ),
    ];
    for (text, sees, expected) in hidden {
        assert_eq!(shown(text, sees), [expected], "{text}");
    }
    // All faults of names and types are told at once.
    assert_eq!(shown("labls.a == 'x' && labels.b > 1 || foo()", Sees::Alert).len(), 3);
}

#[test]
fn limits() {
    let many = |part: &str, sign: &str, count: usize| vec![part; count].join(sign);
    let cases = [
        (many("true", " && ", 499), None),
        (many("true", " && ", 1_000), Some("the expression has more than 1000 values, operators and calls")),
        (format!("{}true{}", "(".repeat(40), ")".repeat(40)), None),
        (format!("{}true{}", "(".repeat(41), ")".repeat(41)), Some("the expression nests more than 40 levels deep")),
        (format!("{}true{}", "(".repeat(4_000), ")".repeat(4_000)), Some("the expression nests more than 40 levels deep")),
        (format!("{}true", "!".repeat(4_001)), None),
        (many("true", " == ", 39), None),
        (many("true", " == ", 100), Some("the expression nests more than 40 levels deep")),
        (format!("labels{} == ''", ".a".repeat(100)), Some("the expression nests more than 40 levels deep")),
        (format!("{}true", "true ? true : ".repeat(100)), Some("the expression nests more than 40 levels deep")),
        (format!("{}1{} == 1", "[".repeat(41), "]".repeat(41)), Some("the expression nests more than 40 levels deep")),
        (" ".repeat(8_193), Some("the expression has 8193 bytes, but at most 8192 are allowed")),
        (many("labels.a.matches('x')", "||", 32), None),
        (many("labels.a.matches('x')", "||", 33), Some("more than 32 regular expressions in one expression")),
        (
            "labels.a.matches('(a{1000}){1000}')".to_owned(),
            Some("a regular expression that cannot be used: compiled regex exceeds size limit of 1048576 bytes"),
        ),
        (
            format!("labels.a.matches('{}{}')", "(".repeat(60), ")".repeat(60)),
            Some("a regular expression that cannot be used: exceed the maximum number of nested parentheses/brackets (50)"),
        ),
    ];
    for (text, expected) in cases {
        let found = Expression::compile(&text, Sees::Alert).err().map(|faults| faults[0].message.clone());
        assert_eq!(found.as_deref(), expected, "{text:.60}");
    }
}

/// What becomes a matcher, and what is left.
#[test]
fn common_forms_are_matchers() {
    let cases: [(&str, &[&str], bool); 17] = [
        (r#"labels.a == "x""#, &[r#"a="x""#], false),
        (r#""x" != labels.a && labels.b == """#, &[r#"a!="x""#, r#"b="""#], false),
        (r#"labels.a in ["x", "y.z"]"#, &[r#"a=~"x|y\\.z""#], false),
        (r#"labels.a in ["x"]"#, &[r#"a="x""#], false),
        (r#"labels.a == "x" || labels.a in ["y"]"#, &[r#"a=~"x|y""#], false),
        (r#"labels.a.startsWith("x.")"#, &[r#"a=~"x\\..*""#], false),
        (r#"!labels.a.endsWith("x")"#, &[r#"a!~".*x""#], false),
        (r#"labels.a.contains("x")"#, &[r#"a=~".*x.*""#], false),
        (r#"labels.a.matches("^x|y$")"#, &[r#"a=~".*(?-s:^x|y$).*""#], false),
        (r#"labels.a.startsWith("x") || labels.a == "y""#, &[r#"a=~"(?:x.*)|(?:y)""#], false),
        (r#"!(labels.a == "x") && !(labels.b != "y")"#, &[r#"a!="x""#, r#"b="y""#], false),
        (r#""a" in labels && !("b" in labels)"#, &[r#"a!="""#, r#"b="""#], false),
        (r#"labels.a == "x" && size(labels) > 3 && (labels.b == "y" && true)"#, &[r#"a="x""#, r#"b="y""#], true),
        (r#"labels.a == "x" || labels.b == "y""#, &[], true),
        ("labels.a in []", &[], true),
        (r#"annotations.a == "x""#, &[], true),
        ("true", &[], false),
    ];
    for (text, expected, rest) in cases {
        let (matchers, left) = Expression::compile(text, Sees::Alert).unwrap().into_matchers();
        let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        assert_eq!((&*shown, left.is_some()), (&*expected.iter().map(ToString::to_string).collect::<Vec<_>>(), rest), "{text}");
    }
}

/// What an index over incidents can tell of an expression.
#[test]
fn words_of_incidents() {
    let cases: [(&str, &[&str]); 6] = [
        (r#"incident.team == "dba" && incident.priority <= 2"#, &[r#"team="dba""#]),
        (r#""checkout" in incident.services"#, &[r#"services.checkout="yes""#]),
        (r#"!("checkout" in incident.services)"#, &[r#"services.checkout!="yes""#]),
        (
            r#"incident.severity in ["critical", "high"] && incident.category != "x""#,
            &[r#"severity=~"critical|high""#, r#"category!="x""#],
        ),
        (r#"incident.labels.env == "prod" && "zone" in incident.labels"#, &[r#"labels.env="prod""#, r#"labels.zone!="""#]),
        ("incident.count > 5", &[]),
    ];
    for (text, expected) in cases {
        let matchers = Expression::compile(text, Sees::Incident).unwrap().word_matchers();
        assert_eq!(matchers.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text in r#"([a-z0-9.&|!=<>()\[\]?:,"'\+{} é-]|&&|==|labels|incident|matches\("|in ){0,24}"#) {
        for sees in [Sees::Alert, Sees::Incident] {
            if let Err(faults) = Expression::compile(&text, sees) {
                proptest::prop_assert!(!faults.is_empty());
                for fault in faults {
                    proptest::prop_assert!(text.get(fault.span).is_some());
                }
            }
        }
    }
}
