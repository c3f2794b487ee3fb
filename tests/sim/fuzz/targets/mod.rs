//! The readers of what others write: what is called for an input, from what inputs damage begins, and what must hold of what
//! comes back. Two runners use them, the tests above by seeds and `fuzz/` by coverage; nothing here knows which.

mod corpus;
pub(crate) mod ingest;
pub(crate) mod rules;
pub(crate) mod small;

use std::panic::RefUnwindSafe;

use super::mutate::Shape;

/// Hands the list of all groups of targets to a macro: a test's name, the seeds that it runs, the function that makes its targets.
/// Being one list, it has no target that only one of the runners knows. So many seeds take each target two seconds or more.
macro_rules! groups {
    ($runner:ident) => {
        $runner! {
            messages_of_tools: 2_400, ingest;
            trees_of_json: 9_000, ingest;
            alerts_of_prometheus: 3_000, ingest;
            alerts_of_an_alertmanager: 2_400, ingest;
            bodies_for_mappings: 1_200, ingest;
            rule_files: 120, rules;
            tables_of_rules: 1_200, rules;
            test_files: 1_000, rules;
            configurations: 4_000, rules;
            inventories: 12_000, rules;
            expressions: 15_000, small;
            templates: 16_000, small;
            matchers: 4_500, small;
            times_and_ids: 40_000, small;
            bytes_of_the_log: 60_000, small;
        }
    };
}
pub(crate) use groups;

/// Reads an input, and panics where what comes of it is wrong.
type Read = Box<dyn Fn(&[u8]) + Sync + RefUnwindSafe>;

/// Something that reads what others write.
pub(crate) struct Target {
    /// Its folder in the corpus.
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) corpus: Vec<Vec<u8>>,
    pub(crate) read: Read,
}

impl Target {
    fn new(name: &str, shape: Shape, corpus: Vec<Vec<u8>>, read: impl Fn(&[u8]) + Sync + RefUnwindSafe + 'static) -> Target {
        assert!(!corpus.is_empty(), "{name}: nothing to begin from");
        Target { name: name.to_owned(), shape, corpus, read: Box::new(read) }
    }

    /// As [`Target::new`], for a reader of text.
    fn of_text(name: &str, shape: Shape, corpus: Vec<Vec<u8>>, read: impl Fn(&str) + Sync + RefUnwindSafe + 'static) -> Target {
        Target::new(name, shape, corpus, move |bytes| read(&String::from_utf8_lossy(bytes)))
    }

    /// All inputs to begin from, each with a name: first those that once made a fault, as they are.
    pub(crate) fn beginnings(&self) -> Vec<(String, Vec<u8>)> {
        let own = self.corpus.iter().enumerate().map(|(number, input)| (format!("corpus-{number}"), input.clone()));
        corpus::kept(&self.name).into_iter().chain(own).collect()
    }
}
