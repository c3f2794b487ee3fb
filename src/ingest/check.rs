//! What one alert may hold: names, lengths and sums, each with the words that its sender reads.

use std::borrow::Cow;

use super::intake::{Fault, Pairs, Reason};
use super::source::Source;
use super::wire::Text;
use crate::config::Limits;
use crate::model::Labels;

/// The labels of an alert with the source's own, checked.
pub(super) fn labels(pairs: &Pairs<'_>, source: &Source, limits: &Limits) -> Result<Labels, Fault> {
    let fault = |message: String| (Reason::Labels, format!("invalid label set: {message}"));
    let parsed = pairs.parse(limits.labels_per_alert).map_err(fault)?;
    let mut set: Vec<(&str, &str)> = parsed.iter().map(|(name, value)| (&*name.0, &*value.0)).collect();
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
    let own = source.labels.iter().filter(|(name, _)| set.binary_search_by_key(name, |(known, _)| known).is_err());
    let own: Vec<(&str, &str)> = own.collect();
    if !own.is_empty() {
        set.extend(own);
        set.sort_unstable_by_key(|(name, _)| *name);
    }
    if set.len() > limits.labels_per_alert {
        return Err(fault(format!("more than {} labels", limits.labels_per_alert)));
    }
    let mut bytes = 0;
    for (name, value) in &set {
        check_name(name, limits).map_err(fault)?;
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
    let parsed = pairs.parse(limits.labels_per_alert).map_err(fault)?;
    let mut bytes = others;
    for (name, value) in parsed.iter().filter(|(_, value)| !value.0.is_empty()) {
        check_name(&name.0, limits).map_err(fault)?;
        bytes += name.0.len() + value.0.len();
    }
    if bytes > limits.alert_bytes {
        return Err(fault(format!("labels, annotations and link are longer than {} bytes", limits.alert_bytes)));
    }
    let set = parsed.iter().map(|(name, value)| (&*name.0, &*value.0));
    Labels::from_pairs(set).ok_or_else(|| fault("too long".to_owned()))
}

impl Pairs<'_> {
    fn parse(&self, max: usize) -> Result<Vec<(Text<'_>, Text<'_>)>, String> {
        match self {
            Pairs::Raw(map) => map.pairs(max),
            Pairs::Parsed(pairs) => {
                Ok(pairs.iter().map(|(name, value)| (Text(Cow::Borrowed(&**name)), Text(Cow::Borrowed(&**value)))).collect())
            }
        }
    }
}

/// Any Unicode is a name, as in Alertmanager, but for what would break lines or terminals.
fn check_name(name: &str, limits: &Limits) -> Result<(), String> {
    // Without an early end, because then many bytes are looked at in one step.
    let is_plain = !name.bytes().fold(false, |found, byte| found | !matches!(byte, b' '..=b'~'));
    let has_control = !is_plain && name.chars().any(char::is_control);
    if name.is_empty() || has_control {
        return Err(format!("invalid name {name:?}"));
    }
    if name.len() > limits.label_name_bytes {
        return Err(format!("a name is longer than {} bytes", limits.label_name_bytes));
    }
    Ok(())
}
