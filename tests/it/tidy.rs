//! The order of the house, held by tests: who may use whom, what the core never names, and what no file may contain.
//!
//! These read source text, not types. `clippy.toml` could ban clocks and files as well, but its lists hold for the whole
//! crate: the shell would need an exception at every honest use, and the core could write the same exception. Here the ban
//! knows the room.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room of the house and the rooms below that it may use. DESIGN's arrows, written out.
///
/// `app` and `cli` put the parts together and may use all of them; nobody uses `cli` but `main`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ruleset", &["model"]),
    ("engine", &["model", "ruleset"]),
    ("storage", &["model", "ruleset", "engine"]),
    ("verify", &["model", "ruleset", "engine", "storage"]),
    ("config", &["model", "ruleset"]),
    ("metrics", &["model"]),
    ("telemetry", &["config"]),
    ("wire", &["model"]),
    ("signature", &["model", "config"]),
    ("deliver", &["model", "config", "metrics", "wire"]),
    ("runtime", &["model", "ruleset", "engine", "storage", "config", "metrics", "deliver"]),
    // Of storage, the messages that could not be taken; see the doors below.
    ("ingest", &["model", "ruleset", "engine", "storage", "runtime", "config", "metrics", "signature"]),
    // Explanations are pure, and lie below the runtime: what is asked over HTTP is the same as at the command line.
    ("api", &["model", "ruleset", "engine", "storage", "verify", "runtime", "config", "metrics", "wire"]),
    ("app", &["model", "ruleset", "engine", "storage", "runtime", "ingest", "api", "deliver", "config", "metrics", "telemetry"]),
    (
        "cli",
        &[
            "model",
            "ruleset",
            "engine",
            "storage",
            "runtime",
            "ingest",
            "api",
            "deliver",
            "config",
            "metrics",
            "telemetry",
            "app",
            "verify",
        ],
    ),
    // `main` installs the one TLS provider before anything else runs.
    ("main", &["cli", "deliver"]),
];

/// Doors that stay shut inside a room that may be used: who, which path, what to use instead.
const SHUT: &[(&[&str], &str, &str)] = &[
    (&["ingest", "api"], "engine::Engine", "the engine is reached through runtime::Handle alone"),
    (&["ingest", "api"], "engine::State", "live records come from runtime::Live"),
    (&["ingest", "api"], "engine::state", "live records come from runtime::Live"),
    (&["ingest", "api"], "storage::log", "history comes from storage::view::ViewReader"),
    (&["ingest", "api"], "storage::Log", "history comes from storage::view::ViewReader"),
    (&["ingest"], "storage::view", "what is live is in runtime::Live"),
    (&["ingest", "api"], "storage::view::View", "only the runtime writes the view"),
    (&["api"], "verify::player", "of verify, explanations alone are for the daemon"),
    (&["api"], "verify::rule_test", "of verify, explanations alone are for the daemon"),
    (&["api"], "verify::capture", "of verify, explanations alone are for the daemon"),
    (&["api"], "verify::recorded", "of verify, explanations alone are for the daemon"),
];

/// The rooms whose code gives the same result on any machine, at any time.
const PURE: &[&str] = &["model", "ruleset", "engine"];

/// What pure rooms never name, and why.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "no tasks, no IO"),
    ("hyper", "no IO"),
    ("axum", "no IO"),
    ("reqwest", "no IO"),
    ("tracing", "decisions are facts, not log lines"),
    ("prometheus", "the shell counts"),
    ("rusqlite", "state is in memory, the log is the shell's"),
    ("dashmap", "one thread, and no order that depends on hashing"),
    ("SystemTime", "time is an argument"),
    ("Instant", "time is an argument"),
    ("Timestamp::now", "time is an argument"),
    ("Zoned::now", "time is an argument"),
    ("std::fs", "texts are handed in"),
    ("stdin", "no IO"),
    ("stdout", "no IO"),
    ("stderr", "no IO"),
    ("std::net", "no IO"),
    ("std::env", "settings are handed in"),
    ("std::process", "no IO"),
    ("std::thread", "one thread"),
    ("HashMap", "its order is random: BTreeMap, IndexMap, or KeyedMap and FxHashMap for look-up only"),
    ("HashSet", "its order is random: BTreeSet, IndexSet, or KeyedSet and FxHashSet for look-up only"),
    ("RandomState", "hashing must not depend on the process"),
];

/// The exceptions, each with its reason.
const EXCEPT: &[(&str, &str, &str)] = &[
    ("src/ruleset/files.rs", "std::fs", "reads rule files into texts, before anything is decided"),
    ("src/model/keyed.rs", "HashMap", "for look-up only, and safe from keys that outsiders choose"),
    ("src/model/keyed.rs", "HashSet", "likewise"),
    ("src/model/keyed.rs", "RandomState", "the key of tables that are never walked in their own order"),
];

/// What a program needs to send anything anywhere.
const WAYS_OUT: &[&str] = &[
    "std::net",
    "std::os::unix::net",
    "std::process::Command",
    "tokio",
    "hyper",
    "reqwest",
    "lettre",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
];

/// Files longer than this are tables, or two ideas. Tables are listed in [`TABLES`].
const LINES_MAX: usize = 700;

/// Long files that are one table of like rows.
const TABLES: &[&str] = &[];

/// What no file may contain. Pieces are put together here so that this file does not contain them either.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("to", "do!("), "a hole in the program"),
    (concat!("unimple", "mented!("), "a hole in the program"),
    (concat!("db", "g!("), "left over from a search for a fault"),
    (concat!("FIX", "ME"), "do it, or say in an issue what is missing"),
    (concat!("XX", "X"), "do it, or say in an issue what is missing"),
    (concat!("/wo", "rk/"), "a path of one machine"),
];

#[test]
fn rooms_use_only_what_lies_below() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut faults = Vec::new();
    for source in sources("src") {
        let room = source.room();
        if room == "lib" {
            continue;
        }
        let Some(allowed) = allowed.get(room.as_str()) else {
            faults.push(format!("{}: the room `{room}` is not in the table of who may use whom", source.name));
            continue;
        };
        for used in source.crate_paths() {
            let target = used.split("::").next().unwrap_or_default();
            if target != room && !allowed.contains(&target) {
                faults.push(format!("{}: `{room}` may not use `crate::{used}`", source.name));
            }
            for (rooms, shut, instead) in SHUT {
                let inside = used == *shut || used.starts_with(&format!("{shut}::"));
                // Tests may set up what they test.
                if inside && rooms.contains(&room.as_str()) && !source.is_test() {
                    faults.push(format!("{}: `{room}` may not use `crate::{used}`: {instead}", source.name));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    for source in sources("src") {
        if !PURE.contains(&source.room().as_str()) || source.is_test() {
            continue;
        }
        let code = source.code_without_tests();
        let excepted = |name: &str| EXCEPT.iter().any(|(file, excepted, _)| source.name == *file && name == *excepted);
        for (name, why) in IMPURE.iter().filter(|(name, _)| !excepted(name)) {
            if let Some(line) = line_naming(&code, name) {
                faults.push(format!("{}:{line}: names {name}: {why}", source.name));
            }
            // `use std::{fs, io}` names them, too.
            let inside = |path: &String| name.strip_prefix("std::").is_some_and(|module| path.split("::").next() == Some(module));
            for path in paths_from("std::", &code).into_iter().filter(inside) {
                faults.push(format!("{}: names std::{path}: {why}", source.name));
            }
        }
    }
    report(&faults);
}

/// Rules that are tried out page nobody: what a replay is made of reaches nothing that could send, and neither do the commands
/// that run one.
#[test]
fn what_tries_rules_out_has_no_senders() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut reached = BTreeSet::from(["verify"]);
    let mut from = vec!["verify"];
    while let Some(room) = from.pop() {
        from.extend(allowed[room].iter().filter(|below| reached.insert(**below)));
    }
    let sending = ["deliver", "runtime", "ingest", "api", "app", "cli", "config"];
    let mut faults: Vec<String> =
        sending.iter().filter(|room| reached.contains(**room)).map(|room| format!("`verify` reaches `{room}`")).collect();
    for source in sources("src") {
        let replays = ["src/cli/backtest", "src/cli/test"].iter().any(|command| source.name.starts_with(command));
        if source.is_test() || !(replays || reached.contains(source.room().as_str())) {
            continue;
        }
        let code = source.code_without_tests();
        for name in WAYS_OUT {
            if let Some(line) = line_naming(&code, name) {
                faults.push(format!("{}:{line}: names {name}, a way to send", source.name));
            }
        }
        let rooms =
            source.crate_paths().into_iter().filter(|path| ["deliver", "runtime"].contains(&path.split("::").next().unwrap()));
        faults.extend(rooms.filter(|_| replays).map(|path| format!("{}: uses `crate::{path}`, which can send", source.name)));
    }
    report(&faults);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")).chain(sources("fuzz")) {
        if !source.text.trim_start().starts_with("//!") && !source.is_test() {
            faults.push(format!("{}: does not begin with //! and what the module owns", source.name));
        }
    }
    report(&faults);
}

#[test]
fn every_file_is_part_of_the_program() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let (parents, module) = match source.place().as_slice() {
            [] => continue,
            [module] => (vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()], module.clone()),
            [folders @ .., module] => {
                let folder = folders.join("/");
                (vec![format!("src/{folder}/mod.rs"), format!("src/{folder}.rs")], module.clone())
            }
        };
        let declared = parents.iter().filter_map(|parent| fs::read_to_string(repository().join(parent)).ok()).any(|text| {
            text.lines().any(|line| {
                line.trim_end().strip_suffix(&format!("mod {module};")).is_some_and(|before| {
                    let before = before.trim();
                    before.is_empty() || before.starts_with("pub") || before.starts_with("#[")
                })
            })
        });
        if !declared {
            faults.push(format!("{}: no `mod {module};` in {}", source.name, parents.join(" or ")));
        }
    }
    report(&faults);
}

#[test]
fn files_are_short_enough_to_read() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")).chain(sources("fuzz")) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX && !TABLES.contains(&source.name.as_str()) {
            faults.push(format!("{}: {lines} lines, more than {LINES_MAX}: split it by idea", source.name));
        }
    }
    report(&faults);
}

#[test]
fn no_file_contains_what_was_only_for_the_moment() {
    let mut faults = Vec::new();
    for path in files(&repository()) {
        let name = path.strip_prefix(repository()).unwrap().display().to_string();
        // The scanned text is ours: programs, documents, rules. Licences and recorded data are as they came.
        if name == "LICENSE" || name.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (line, text) in text.lines().enumerate() {
            for (word, why) in FORBIDDEN {
                if text.contains(word) {
                    faults.push(format!("{name}:{}: {word}: {why}", line + 1));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn banned_packages_are_not_in_the_lock_file() {
    let rules = fs::read_to_string(repository().join("deny.toml")).unwrap();
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let banned: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next())
        .map(|package| package.split(['@', ':']).next().unwrap_or(package))
        .collect();
    assert!(banned.contains("aws-lc-rs") && banned.len() >= 8, "deny.toml is not read rightly: {banned:?}");
    let present: Vec<&str> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .filter(|p| banned.contains(p))
        .collect();
    assert!(present.is_empty(), "banned in deny.toml, yet in Cargo.lock: {present:?}");
}

/// What is fuzzed is what is shipped.
#[test]
fn fuzzing_has_the_versions_of_the_program() {
    let packages = |lock: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(repository().join(lock)).unwrap();
        text.split("[[package]]").skip(1).map(|package| package.trim().lines().take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let name = |package: &String| package.split(" version").next().unwrap().to_owned();
    let ours = packages("Cargo.lock");
    let names: BTreeSet<String> = ours.iter().map(name).collect();
    let faults: Vec<String> = packages("fuzz/Cargo.lock")
        .difference(&ours)
        .filter(|package| names.contains(&name(package)))
        .map(|package| format!("fuzz/Cargo.lock: {package}, Cargo.lock has another; copy that one to fuzz/ and build there"))
        .collect();
    report(&faults);
}

#[test]
fn paths_are_found_however_they_are_written() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("src/api/list.rs", "use crate::model::Time;", &["model::Time"]),
        (
            "src/api/list.rs",
            "use crate::{model::{Time, id::Fingerprint}, engine};",
            &["model::Time", "model::id::Fingerprint", "engine"],
        ),
        ("src/api/list.rs", "fn f() -> crate::engine::Fact { crate::app::run() }", &["engine::Fact", "app::run"]),
        ("src/api/list.rs", "pub(crate) use super::super::storage::log as l;", &["storage::log"]),
        ("src/api/mod.rs", "use super::engine::Engine;", &["engine::Engine"]),
        ("src/api/mod.rs", "mod tests { use super::*; }", &[]),
        ("src/api/list.rs", "// use crate::app::App;\nlet s = \"crate::cli\"; /* crate::cli */", &[]),
        ("src/api/list.rs", "let c = '\"'; use crate::cli::x; let d = \"\\\"\";", &["cli::x"]),
        ("src/api/list.rs", "macro!($crate::model::X)", &["model::X"]),
        ("src/main.rs", "fn main() { quell::cli::run() }", &["cli::run"]),
    ];
    for (name, text, expected) in cases {
        let source = Source { name: (*name).to_owned(), text: (*text).to_owned() };
        assert_eq!(source.crate_paths(), *expected, "{text}");
    }
}

/// One file of Rust.
struct Source {
    /// Relative to the repository, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// The module path under `src`: `[storage, log]` for `src/storage/log/mod.rs` and `src/storage/log.rs`.
    fn place(&self) -> Vec<String> {
        let path = self.name.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        if path == "lib" || path == "main" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    /// The room that it lies in: its first folder, or its own name directly under `src`.
    fn room(&self) -> String {
        self.name.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default().to_owned()
    }

    /// Whether the whole file is a test's.
    fn is_test(&self) -> bool {
        self.name.ends_with("/tests.rs") || self.name.contains("/tests/") && self.name.starts_with("src/")
    }

    /// The code before the tests at the end of the file, without comments and texts.
    fn code_without_tests(&self) -> String {
        let code = without_comments_and_strings(&self.text);
        let end = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
        code[..end].to_owned()
    }

    /// Every path into this crate that the code names, without the leading `crate::`, in order, groups written out.
    fn crate_paths(&self) -> Vec<String> {
        let code = without_comments_and_strings(&self.text);
        let mut paths = paths_from("crate::", &code);
        if self.name == "src/main.rs" {
            paths.extend(paths_from("quell::", &code));
        }
        // `super::super::engine` leads to another room, too: a chain at least as long as the file lies deep reaches the root.
        let depth = self.place().len();
        let mut rest = 0;
        while let Some(found) = code[rest..].find("super::") {
            let begin = rest + found;
            let mut end = begin;
            while code[end..].starts_with("super::") {
                end += "super::".len();
            }
            rest = end;
            if (end - begin) / "super::".len() >= depth && depth > 0 {
                let mut reached = Vec::new();
                expand("", &code[end..], &mut reached);
                let is_room = |path: &String| MAY_USE.iter().any(|(room, _)| path.split("::").next() == Some(room));
                paths.extend(reached.into_iter().filter(is_room));
            }
        }
        paths
    }
}

/// Every path that begins with `root` as a whole word (`crate::`), without it, in order, groups written out.
fn paths_from(root: &str, code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(root).filter(|(at, _)| starts_a_word(code, *at)) {
        expand("", &code[at + root.len()..], &mut paths);
    }
    paths
}

/// Writes out the use-tree at the beginning of `code`: `a::{b, c::d}` becomes `a::b` and `a::c::d`. Returns what follows it.
fn expand<'a>(prefix: &str, code: &'a str, paths: &mut Vec<String>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut inner) = code.strip_prefix('{') {
        loop {
            inner = inner.trim_start();
            match inner.chars().next() {
                None => return inner,
                Some('}') => return &inner[1..],
                Some(',') => inner = &inner[1..],
                Some(_) => {
                    let before = inner.len();
                    inner = expand(prefix, inner, paths);
                    if let Some(renamed) = inner.trim_start().strip_prefix("as ") {
                        inner = renamed.trim_start().trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
                    }
                    if inner.len() == before {
                        return inner;
                    }
                }
            }
        }
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    let path = match (prefix, name) {
        (prefix, "") => prefix.to_owned(),
        ("", name) => name.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(deeper) if !deeper.starts_with('<') && !name.is_empty() => expand(&path, deeper, paths),
        _ => {
            let rest = if name.is_empty() { rest.strip_prefix('*').unwrap_or(rest) } else { rest };
            if !path.is_empty() {
                paths.push(path);
            }
            rest
        }
    }
}

/// Replaces comments and the insides of string and character literals by blanks; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    let mut at = 0;
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        let end = match chars[at] {
            '/' if next == Some('/') => (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len()),
            '/' if next == Some('*') => (at + 2..chars.len())
                .find(|i| chars[*i] == '/' && chars[*i - 1] == '*' && *i > at + 2)
                .map_or(chars.len(), |i| i + 1),
            'r' if is_raw_string(&chars, at) => end_of_raw_string(&chars, at),
            '"' => end_of_quoted(&chars, at, '"'),
            // A lifetime has no second quote close by.
            '\'' if next == Some('\\') || chars.get(at + 2) == Some(&'\'') => end_of_quoted(&chars, at, '\''),
            c => {
                code.push(c);
                at += 1;
                continue;
            }
        };
        code.extend(chars[at..end].iter().map(|c| blank(*c)));
        at = end;
    }
    code
}

fn is_raw_string(chars: &[char], at: usize) -> bool {
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b';
    let quote = chars[at + 1..].iter().find(|c| **c != '#');
    !word_before && quote == Some(&'"')
}

fn end_of_raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let closes = |i: usize| chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (at + 2 + hashes..chars.len()).find(|i| closes(*i)).map_or(chars.len(), |i| i + 1 + hashes)
}

fn end_of_quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// The number of the first line that names `name` as a whole word or path.
fn line_naming(code: &str, name: &str) -> Option<usize> {
    let (at, _) = code.match_indices(name).find(|(at, _)| {
        let after = code[at + name.len()..].chars().next();
        starts_a_word(code, *at) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })?;
    Some(code[..at].matches('\n').count() + 1)
}

fn starts_a_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under a folder of the repository, in order of name.
fn sources(folder: &str) -> Vec<Source> {
    files(&repository().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| Source {
            name: path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

/// All files under a folder, in order of name, without what is built or run here.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let skipped = name == "target" || name == "data" || name == ".git";
            if !skipped {
                found.extend(files(&path));
            }
        } else if name != ".git" {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
