//! Pages of lists that are newest first: partly live, partly history.

use serde_json::{Map, Value};

/// Entries with the number that orders them: an incident's or notification's id, the log position of an alert's occurrence.
pub(super) type Numbered<T> = Vec<(u64, T)>;

/// One page out of live entries and those of history. An entry that is in both is taken as it is live, since the view
/// follows behind the log. Gives the page and the cursor of the next one.
pub(super) fn page<T>(live: Numbered<T>, history: Numbered<T>, limit: usize) -> (Vec<T>, Option<u64>) {
    let mut entries = live;
    entries.extend(history);
    // Stable, so of two with one number the live one stays in front and survives.
    entries.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    entries.dedup_by_key(|(number, _)| *number);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().map(|(number, _)| *number).filter(|_| more);
    (entries.into_iter().map(|(_, entry)| entry).collect(), next)
}

/// A page as JSON: `{"<name>":[…],"next":cursor|null}`. A cursor is a text, so that clients keep it as it is.
pub(super) fn page_json(name: &str, entries: Vec<Value>, next: Option<u64>) -> Value {
    page_json_after(name, entries, next.map(|cursor| cursor.to_string()))
}

/// The same, of a list whose order is no number.
pub(super) fn page_json_after(name: &str, entries: Vec<Value>, next: Option<String>) -> Value {
    let mut page = Map::new();
    page.insert(name.to_owned(), Value::Array(entries));
    page.insert("next".to_owned(), next.map_or(Value::Null, Value::String));
    Value::Object(page)
}

/// Whether `number` belongs to a page that begins behind `cursor`.
pub(super) fn is_behind(number: u64, cursor: Option<u64>) -> bool {
    cursor.is_none_or(|cursor| number < cursor)
}
