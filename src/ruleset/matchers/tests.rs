use super::*;

fn shown(text: &str) -> Result<String, (usize, usize, String)> {
    let list = parse_matchers(text).map_err(|f| (f.offset, f.length, f.message))?;
    Ok(list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

#[test]
fn accepts_what_alertmanager_accepts() {
    let cases = [
        ("", ""),
        ("{}", ""),
        (" { } ", ""),
        ("a=b", r#"a="b""#),
        (r#"a="b""#, r#"a="b""#),
        (r#"{a="b",}"#, r#"a="b""#),
        (r#"a != "b" , c=~"d|e",f !~ g.+"#, r#"a!="b" c=~"d|e" f!~"g.+""#),
        (r#"a="", b="x,y=z""#, r#"a="" b="x,y=z""#),
        (r#"job=~"node-\d+\.x""#, r#"job=~"node-\\d+\\.x""#),
        (r#"a="say \"hi\"\\\n""#, r#"a="say \"hi\"\\\n""#),
        (r#"a="\t""#, r#"a="\\t""#),
        ("fooΣ=bar🙂", r#"fooΣ="bar🙂""#),
        (r#""with space"="\t\u00e9""#, r#""with space"="\u0009é""#),
        (r#""\xce\xb8"=x"#, r#"θ="x""#),
        ("Σ=c", r#"Σ="c""#),
        ("00=b", r#"00="b""#),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn faults_name_their_place() {
    let cases = [
        ("a", 1, 0, "expected one of `=`, `!=`, `=~`, `!~` after the label's name"),
        ("a==b", 2, 1, "expected a value; an empty one is written as \"\""),
        ("a=", 2, 0, "expected a value; an empty one is written as \"\""),
        ("=b", 0, 0, "expected a label's name"),
        ("a=b c=d", 4, 1, "expected a comma or the end after a matcher"),
        (r#"a="b"#, 2, 2, "the closing quote is missing"),
        ("{a=b", 4, 0, "the closing brace is missing"),
        ("a=b}", 3, 1, "a closing brace without an opening one"),
        ("{a=b} c", 6, 1, "text after the closing brace"),
        ("a=b,,c=d", 4, 0, "expected a label's name"),
        ("é=~(", 4, 1, "unclosed group"),
        (r#""a\q"=b"#, 2, 2, "not an escape that is known here"),
        (r#""\xff"=b"#, 0, 6, "the escapes make no UTF-8 text"),
        (r#""\ud800"=b"#, 1, 6, "not an escape that is known here"),
        ("a='b'", 2, 1, "expected a value; an empty one is written as \"\""),
    ];
    for (text, offset, length, message) in cases {
        assert_eq!(shown(text), Err((offset, length, message.to_owned())), "{text}");
    }
}

#[test]
fn named_groups_are_captured() {
    let matchers = parse_matchers(r#"job=~"pg-(?P<cluster>.+?)(-(?P<n>\d+))?", env!~"(?P<no>x)", zone=~"(?P<n>.)""#).unwrap();
    let labels = Labels::from_pairs([("job", "pg-eu"), ("zone", "b")]).unwrap();
    assert_eq!(captures(&matchers, &labels), [("cluster", "eu"), ("n", "")]);
    assert_eq!(capture_names(&matchers).collect::<Vec<_>>(), ["cluster", "n", "n"]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered_and_what_is_shown_reads_back(text in "[ab=!~,{}\" \\\\(é\r\n\u{1b}]{0,16}|\\PC{0,12}") {
        if let Ok(list) = parse_matchers(&text) {
            for matcher in &list {
                let again = matcher.to_string();
                proptest::prop_assert_eq!(parse_matchers(&again), Ok(vec![matcher.clone()]), "{}", again);
            }
        }
    }
}
