//! The words of the house as types. No IO, no clock, no randomness, no serialization: those live at the edges.
//!
//! | word | meaning | where |
//! | --- | --- | --- |
//! | alert | one condition on one thing, identified by its labels; firing or resolved | [`alert`] |
//! | fingerprint | the identity of an alert (Alertmanager's, so that its clients agree) | [`id`] |
//! | incident | what people work on: alerts that belong together, with category, priority, owner | [`incident`] |
//! | notification | one message owed to one receiver, kept until the receiver has really taken it | [`notification`] |
//! | silence | a suppression that a person made, with matchers, a beginning and an end | [`silence`] |
//! | matcher | one condition on one label, Prometheus' four operators | [`matcher`] |
//! | reason | which rule, silence or alert decided something | [`reason`] |
//! | change | a deployment or whatever else people did to a system, as it was reported | [`change`] |
//! | storm | far more alerts in one place than is usual there | [`storm`] |
//! | heartbeat | a job or a machine that says again and again that it is there | [`heartbeat`] |
//! | cause | a thing that an incident probably comes from, with its reasons | [`cause`] |

pub mod ahead;
pub mod alert;
pub mod cause;
pub mod change;
pub mod few;
pub mod heartbeat;
pub mod id;
pub mod incident;
pub mod keyed;
pub mod labels;
pub mod matcher;
pub mod message;
pub mod notification;
pub mod reason;
pub mod seldom;
pub mod silence;
pub mod storm;
pub mod time;

pub use alert::{Alert, AlertRecord, AlertStatus, Severity};
pub use cause::{Cause, CauseReason};
pub use change::Change;
pub use few::Few;
pub use heartbeat::Heartbeat;
pub use id::{Fingerprint, IncidentId, NotificationId, SilenceId};
pub use incident::{Incident, IncidentStatus, PolicyRun};
pub use keyed::{Keyed, KeyedMap, KeyedSet};
pub use labels::Labels;
pub use matcher::{MatchOp, Matcher};
pub use message::{MessageId, TakenMessage};
pub use notification::{Notification, NotificationKind, NotificationState};
pub use reason::{Actor, Reason, RulePlace, RuleRef, Suppression, SuppressionKind};
pub use seldom::Seldom;
pub use silence::Silence;
pub use storm::{AlertKind, Storm, Usual};
pub use time::{Millis, Time};
