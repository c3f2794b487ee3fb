//! The `map` of a `generic` source. Whether its templates render is for `ingest` to say, which compiles them at the start.

use super::GenericMap;
use super::section::Section;

/// Reads one `map`.
pub(super) fn read(mut section: Section<'_>) -> GenericMap {
    let place = section.place.clone();
    let map = GenericMap {
        each: section.text("each"),
        labels: section.pairs("labels"),
        annotations: section.pairs("annotations"),
        status: section.text("status"),
        starts_at: section.text("starts_at"),
        ends_at: section.text("ends_at"),
        identity: section.texts("identity"),
        resolve_after: section.duration("resolve_after"),
    };
    if map.labels.is_empty() {
        section.note("missing_key", "labels", "is missing: an alert without labels is none", &place);
    }
    for name in map.identity.iter().filter(|name| !map.labels.iter().any(|(label, _)| label == *name)) {
        section.note("bad_value", "identity", &format!("names `{name}`, which is not among the labels"), &place);
    }
    if let Some(path) = map.each.as_deref().filter(|path| !path.starts_with("body.") && *path != "body") {
        section.note("bad_value", "each", &format!("must be a path from the body, such as body.events, not {path:?}"), &place);
    }
    section.finish();
    map
}
