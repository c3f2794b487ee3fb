//! Any JSON or form, mapped to alerts by a source's templates. The templates are the site's own; what comes in is only ever
//! data to them, and their steps are bounded.

use std::collections::BTreeSet;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};

use super::format;
use super::format::json::{Json, Kind};
use super::intake::{Intake, Pairs, Parsed, Reason, Said};
use super::wire::BodyFault;
use crate::config::{ConfigError, GenericMap};
use crate::model::{AlertStatus, Time};
use crate::ruleset::template;

/// Steps that one template may take; the longest sensible one takes some hundreds.
const FUEL: u64 = 20_000;

/// A `map`, compiled.
#[derive(Debug)]
pub struct Mapping {
    templates: Environment<'static>,
    /// The path below the body to its list; `None`: the body is one alert.
    each: Option<Vec<String>>,
    labels: Vec<String>,
    annotations: Vec<String>,
    identity: Vec<String>,
    /// What the templates look at, as paths below the body.
    watched: BTreeSet<String>,
}

impl Mapping {
    /// Compiles a source's `map`.
    ///
    /// # Errors
    /// The first template that is none, with where it stands.
    pub fn new(source: &str, map: &GenericMap) -> Result<Mapping, ConfigError> {
        let mut templates = Environment::new();
        templates.set_fuel(Some(FUEL));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let labels = map.labels.iter().map(|(name, template)| (format!("labels.{name}"), template));
        let annotations = map.annotations.iter().map(|(name, template)| (format!("annotations.{name}"), template));
        let single = [("status", &map.status), ("starts_at", &map.starts_at), ("ends_at", &map.ends_at)];
        let single = single.into_iter().filter_map(|(name, template)| Some((name.to_owned(), template.as_ref()?)));
        for (name, template_text) in labels.chain(annotations).chain(single) {
            let fault = |why: String| ConfigError {
                code: "bad_value",
                message: format!("the source `{source}` has a template that does not compile: map.{name}: {why}"),
                place: String::new(),
                hint: None,
            };
            template::not_too_deep(template_text).map_err(|(why, _)| fault(why))?;
            templates.add_template_owned(name.clone(), template_text.clone()).map_err(|error| fault(error.to_string()))?;
        }
        let names = |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect();
        let mut mapping = Mapping {
            watched: BTreeSet::new(),
            templates,
            each: map.each.as_ref().map(|path| path.split('.').skip(1).map(str::to_owned).collect()),
            labels: names(&map.labels),
            annotations: names(&map.annotations),
            identity: map.identity.clone(),
        };
        mapping.watched = mapping.asked();
        Ok(mapping)
    }

    /// The paths below a body that templates look at, in the way that [`format::paths`] writes them.
    fn asked(&self) -> BTreeSet<String> {
        let mut names = Vec::new();
        for (_, template) in self.templates.templates() {
            names.extend(template.undeclared_variables(true));
        }
        let item = self.each.as_ref().map_or(String::new(), |path| format!("{}[].", path.join(".")));
        let below = |name: &String| match name.split_once('.') {
            Some(("item", path)) => Some(format!("{item}{path}")),
            Some(("body", path)) => Some(path.to_owned()),
            _ => None,
        };
        names.iter().filter_map(below).collect()
    }

    /// All the fields that its templates look at, by their [`format::paths`].
    pub(super) fn watched(&self) -> &BTreeSet<String> {
        &self.watched
    }

    /// Looks whether what the templates ask for is there.
    fn watch(&self, body: &Json<'_>, fires: bool, intake: &Intake<'_>) {
        intake.watch(|watched, now| watched.read(body, Some(&self.watched), fires, now));
    }

    /// The paths below a body that no template looks at.
    #[must_use]
    pub fn unused(&self, body: &Json<'_>) -> Vec<String> {
        let mut asked = Vec::new();
        for (_, template) in self.templates.templates() {
            asked.extend(template.undeclared_variables(true));
        }
        let each = self.each.as_ref().map(|path| format!("body.{}", path.join(".")));
        let mut unused = Vec::new();
        leaves(body, "body", each.as_deref(), &mut |path| {
            let is_asked = asked
                .iter()
                .any(|name| path == name || path.starts_with(&format!("{name}.")) || path.starts_with(&format!("{name}[")));
            if !is_asked && !unused.iter().any(|known| known == path) {
                unused.push(path.to_owned());
            }
        });
        unused
    }

    fn said<'a>(&'a self, body: &Value, item: &Value) -> Result<Said<'a>, (Reason, String)> {
        let render = |name: &str| self.render(name, body, item);
        let pairs = |kind: &str, names: &'a [String]| -> Result<Parsed<'a>, (Reason, String)> {
            let rendered = |name: &str| Ok(render(&format!("{kind}.{name}"))?.unwrap_or_default().into());
            names.iter().map(|name| Ok((name.as_str().into(), rendered(name)?))).collect()
        };
        let status = match render("status")?.as_deref() {
            None | Some("firing") => AlertStatus::Firing,
            Some("resolved") => AlertStatus::Resolved,
            Some(_) => return Err((Reason::Template, "map.status: gives neither firing nor resolved".to_owned())),
        };
        let time = |name: &str| match render(name)? {
            Some(text) if !text.is_empty() => {
                parse_time(&text).map(Some).ok_or_else(|| (Reason::Template, format!("map.{name}: gives no time")))
            }
            _ => Ok(None),
        };
        let labels = pairs("labels", &self.labels)?;
        let named = |name: &String| labels.iter().any(|(label, value)| label == name && !value.is_empty());
        if !self.identity.is_empty() && !self.identity.iter().any(named) {
            // All such alerts would be one.
            return Err((Reason::Template, "map.identity: all of its labels are empty".to_owned()));
        }
        Ok(Said {
            annotations: Pairs::Parsed(pairs("annotations", &self.annotations)?),
            generator_url: "".into(),
            starts_at: time("starts_at")?,
            ends_at: time("ends_at")?.filter(|_| status == AlertStatus::Resolved),
            identity: (!self.identity.is_empty()).then_some(&self.identity),
            status: Some(status),
            labels: Pairs::Parsed(labels),
        })
    }

    /// What a template gives, without the spaces around it; `None` if the map has none of this name.
    fn render(&self, name: &str, body: &Value, item: &Value) -> Result<Option<String>, (Reason, String)> {
        let rendered = match self.templates.get_template(name) {
            Err(error) if error.kind() == ErrorKind::TemplateNotFound => return Ok(None),
            Err(error) => Err(error),
            Ok(template) => template.render(context! { body, item }),
        };
        match rendered {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err((Reason::Template, format!("map.{name}: {}", error.kind()))),
        }
    }
}

/// Takes in a body. One that has no list where `each` wants one is noted in `intake`: another mapping might find it.
///
/// # Errors
/// A body that is neither JSON nor a form, or is nested too deep.
pub fn read(body: &str, mapping: &Mapping, intake: &mut Intake<'_>) -> Result<(), BodyFault> {
    let json = format::parse(body, intake.limits().json_depth)?;
    let items: Vec<&Json<'_>> = match &mapping.each {
        None => vec![&json],
        Some(path) => {
            let list = path.iter().try_fold(&json, |value, key| value.get(key)).and_then(Json::as_list);
            let Some(list) = list else {
                mapping.watch(&json, true, intake);
                intake.reject(0, Reason::Template, format!("there is no list at body.{}", path.join(".")));
                return Ok(());
            };
            list.iter().collect()
        }
    };
    if items.len() > intake.limits().alerts_per_request {
        return Err(BodyFault::TooMany);
    }
    let body = value(&json);
    let mut fires = false;
    intake.begin(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match mapping.said(&body, &value(item)) {
            Ok(said) => {
                fires |= said.status == Some(AlertStatus::Firing);
                intake.take(index, &said);
            }
            Err((reason, message)) => {
                fires = true;
                intake.reject(index, reason, message);
            }
        }
    }
    mapping.watch(&json, fires, intake);
    Ok(())
}

/// Calls `found` with the path of each value that is neither map nor list, as templates write it: below the list that `each`
/// names, it is an `item`'s.
fn leaves(value: &Json<'_>, path: &str, each: Option<&str>, found: &mut dyn FnMut(&str)) {
    match value.kind() {
        Kind::Map(pairs) => {
            pairs.in_order().into_iter().for_each(|(key, value)| leaves(value, &format!("{path}.{key}"), each, found));
        }
        Kind::List(items) if each == Some(path) => items.iter().for_each(|item| leaves(item, "item", each, found)),
        Kind::List(items) => items.iter().for_each(|item| leaves(item, &format!("{path}[]"), each, found)),
        _ => found(path),
    }
}

/// JSON as templates see it. Whole numbers stay whole: ids are longer than a float keeps.
fn value(json: &Json<'_>) -> Value {
    match json.kind() {
        Kind::Null => Value::from(()),
        Kind::Bool(flag) => Value::from(*flag),
        Kind::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Kind::Text(words) => Value::from(words.as_str()),
        Kind::List(items) => Value::from(items.iter().map(value).collect::<Vec<Value>>()),
        Kind::Map(pairs) => Value::from_pairs(pairs.in_order().into_iter().map(|(key, item)| (key, value(item)))),
    }
}

/// RFC 3339, or seconds or milliseconds since 1970; which of the two, the size tells. A number past year 2262 is no time.
#[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
fn parse_time(text: &str) -> Option<Time> {
    const SECONDS_MAX: f64 = 1e11;
    const MILLIS_MAX: f64 = 9.2e12;
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..SECONDS_MAX).contains(&seconds) => Some(Time((seconds * 1_000.0).min(MILLIS_MAX) as i64)),
        Ok(millis) if (SECONDS_MAX..MILLIS_MAX).contains(&millis) => Some(Time(millis as i64)),
        Ok(_) => None,
        Err(_) => Time::parse_rfc3339(text),
    }
    .filter(|time| *time > Time::EPOCH)
}
