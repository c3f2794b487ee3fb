//! `classify`: rules that name what an incident is about. Each field is set by the first rule that matches and names it.
//!
//! | key | meaning |
//! | --- | --- |
//! | `match` | some firing alert of the incident satisfies all; default every incident |
//! | `when` | an [expression](crate::ruleset::expression) over the incident |
//! | `category`, `subcategory`, `team` | what is named; at least one |
//!
//! After all rules come the [built-in ones](crate::ruleset::builtin).

use crate::model::RuleRef;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::expression::Sees;
use crate::ruleset::fields::Fields;
use crate::ruleset::rules::ClassifyRule;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> ClassifyRule {
    let matchers = fields.matchers("match");
    let when = fields.when(Sees::IncidentToClassify);
    let names = ["category", "subcategory", "team"];
    let [category, subcategory, team] = names.map(|name| fields.word(name));
    if !names.iter().any(|name| fields.has(name)) {
        fields.fault(Code::Missing, &fields.span(), "a classify rule needs one of `category`, `subcategory`, `team`", "");
    }
    ClassifyRule { rule, matchers, when, category, subcategory, team }
}
