//! What one alert may hold: names, lengths and sums, each with the words that its sender reads.

use super::intake::{Fault, Pairs, Reason};
use super::plain::Borrowed;
use super::source::Source;
use super::wire::Text;
use crate::config::Limits;
use crate::model::Labels;

/// The labels of an alert with the source's own, checked.
pub(super) fn labels(pairs: &Pairs<'_>, source: &Source, limits: &Limits) -> Result<Labels, Fault> {
    let fault = |message: String| (Reason::Labels, format!("invalid label set: {message}"));
    let mut parsed = Vec::new();
    let Borrowed { pairs: mut set, printable } = pairs.texts(limits.labels_per_alert, &mut parsed).map_err(fault)?;
    // Most senders write them in order.
    if !set.is_sorted_by(|a, b| a.0 < b.0) {
        set.sort_unstable_by_key(|(name, _)| *name);
        if let Some(twice) = set.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(fault(format!("duplicate name {:?}", twice[0].0)));
        }
    }
    set.retain(|(_, value)| !value.is_empty());
    if set.is_empty() {
        return Err((Reason::Labels, "at least one label pair required".to_owned()));
    }
    let came = set.len();
    for (name, value) in source.labels.iter() {
        if set[..came].binary_search_by_key(&name, |(known, _)| known).is_err() {
            set.push((name, value));
        }
    }
    // Of those, only what the message says is known to be.
    let printable = printable && set.len() == came;
    if set.len() > came {
        set.sort_unstable_by_key(|(name, _)| *name);
    }
    if set.len() > limits.labels_per_alert {
        return Err(fault(format!("more than {} labels", limits.labels_per_alert)));
    }
    let mut bytes = 0;
    for (name, value) in &set {
        check_name(name, printable, limits).map_err(fault)?;
        if value.len() > limits.label_value_bytes {
            return Err(fault(format!("the value of {name:?} is longer than {} bytes", limits.label_value_bytes)));
        }
        bytes += name.len() + value.len();
    }
    let too_long = || fault(format!("more than {} bytes", limits.alert_bytes));
    if bytes > limits.alert_bytes {
        return Err(too_long());
    }
    Labels::from_ordered(&set).ok_or_else(too_long)
}

/// The annotations of an alert that has `others` bytes already; checked.
pub(super) fn annotations(pairs: &Pairs<'_>, others: usize, limits: &Limits) -> Result<Labels, Fault> {
    let fault = |message: String| (Reason::Annotations, format!("invalid annotations: {message}"));
    let mut parsed = Vec::new();
    let Borrowed { pairs: mut set, printable } = pairs.texts(limits.labels_per_alert, &mut parsed).map_err(fault)?;
    let mut bytes = others;
    for (name, value) in set.iter().filter(|(_, value)| !value.is_empty()) {
        check_name(name, printable, limits).map_err(fault)?;
        bytes += name.len() + value.len();
    }
    if bytes > limits.alert_bytes {
        return Err(fault(format!("labels, annotations and link are longer than {} bytes", limits.alert_bytes)));
    }
    Labels::from_unsorted(&mut set).ok_or_else(|| fault("too long".to_owned()))
}

impl Pairs<'_> {
    /// The pairs in the order they came: as they stand in the message where that is what they mean, else as they lie in
    /// `parsed` then.
    fn texts<'t>(&'t self, max: usize, parsed: &'t mut Vec<(Text<'t>, Text<'t>)>) -> Result<Borrowed<'t>, String> {
        let pairs = match self {
            Pairs::Raw(map) => {
                if let Some(borrowed) = map.borrowed(max) {
                    return Ok(borrowed);
                }
                *parsed = map.pairs(max)?;
                parsed.iter().map(|(name, value)| (&*name.0, &*value.0)).collect()
            }
            Pairs::Parsed(pairs) => pairs.iter().map(|(name, value)| (&**name, &**value)).collect(),
        };
        Ok(Borrowed { pairs, printable: false })
    }
}

/// Any Unicode is a name, as in Alertmanager, but for what would break lines or terminals.
/// `printable`: it is known to be of printable ASCII.
fn check_name(name: &str, printable: bool, limits: &Limits) -> Result<(), String> {
    let is_plain = printable || name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let has_control = !is_plain && name.chars().any(char::is_control);
    if name.is_empty() || has_control {
        return Err(format!("invalid name {name:?}"));
    }
    if name.len() > limits.label_name_bytes {
        return Err(format!("a name is longer than {} bytes", limits.label_name_bytes));
    }
    Ok(())
}
