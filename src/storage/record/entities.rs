//! The wire form of the state's parts, as checkpoints and the view keep them. The numbers are for ever.

use super::wire::{fields, variants};
use crate::engine::Entity;
use crate::engine::entity::Meta;

variants!(Entity {
    0 Meta(1 meta),
    1 Alert(1 alert),
    2 Incident(1 incident),
    3 Notification(1 notification),
    4 Silence(1 silence),
    5 Change(1 change),
    6 Usual(1 usual),
    7 Message(1 message),
    8 Heartbeat(1 heartbeat),
});

fields!(Meta { 0 directory, 1 seq, 2 time, 3 last_incident, 4 last_notification, 5 rules_digest });
