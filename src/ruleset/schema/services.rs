//! `services`: the catalogue of services, which [`topology`](super::correlate) follows and which gives incidents team and impact.
//!
//! | key | meaning |
//! | --- | --- |
//! | `name` | as alerts have it in their label `service`; unique over all files |
//! | `tier` | 1 (most critical) to 5 |
//! | `team` | whose it is, where neither a classify rule nor the alert says otherwise |
//! | `depends_on` | other services; one without an entry is a service all the same, and warned of |
//! | `runbook` | where it stands what to do |

use crate::model::RuleRef;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::Fields;
use crate::ruleset::services::Service;

/// Dependencies of one service.
pub(in crate::ruleset) const DEPENDS_MAX: usize = 256;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> Service {
    let tier = fields.number("tier", 1..=5).and_then(|tier| u8::try_from(tier).ok());
    let team = fields.word("team");
    let words = fields.words("depends_on");
    if words.len() > DEPENDS_MAX {
        let message = format!("`depends_on` has {} services, but at most {DEPENDS_MAX} are allowed", words.len());
        fields.fault(Code::Limit, &fields.key_span("depends_on"), message, "");
    }
    let depends_on = words.iter().map(|word| word.text.into()).collect();
    Service { rule, tier, team, depends_on, runbook: fields.word("runbook") }
}
