//! `prioritize`: rules that set impact and urgency. The first that matches counts; what it does not name is derived.
//!
//! | key | meaning |
//! | --- | --- |
//! | `match` | some firing alert of the incident satisfies all; default every incident |
//! | `when` | an [expression](crate::ruleset::expression) over the incident |
//! | `impact` | 1 (a vital service) to 3 (one part, others stand in); |
//! | `urgency` | 1 (now) to 3 (can wait) |
//! | `type` | `major`: managers are told, and related incidents become its parts; `normal`: it is none, whatever it looks like |
//!
//! At least one of the three. The priority follows from impact and urgency by the matrix and is never set directly.

use crate::model::RuleRef;
use crate::model::incident::IncidentType;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::expression::Sees;
use crate::ruleset::fields::Fields;
use crate::ruleset::rules::PrioritizeRule;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> PrioritizeRule {
    let matchers = fields.matchers("match");
    let when = fields.when(Sees::IncidentToPrioritize);
    let names = ["impact", "urgency"];
    let [impact, urgency] = names.map(|name| fields.number(name, 1..=3).and_then(|n| u8::try_from(n).ok()));
    let incident_type = incident_type(fields);
    if !names.iter().any(|name| fields.has(name)) && !fields.has("type") {
        fields.fault(Code::Missing, &fields.span(), "a prioritize rule needs one of `impact`, `urgency`, `type`", "");
    }
    PrioritizeRule { rule, matchers, when, impact, urgency, incident_type }
}

fn incident_type(fields: &mut Fields<'_>) -> Option<IncidentType> {
    let text = fields.text("type")?;
    let known = IncidentType::ALL.into_iter().find(|known| known.as_str() == text.text);
    if known.is_none() {
        let message = format!("`{}` is neither `normal` nor `major`", text.text);
        fields.fault(Code::Word, &text.node.span, message, "");
    }
    known
}
