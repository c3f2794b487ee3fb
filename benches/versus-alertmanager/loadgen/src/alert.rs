//! The alerts: what a Prometheus of middling size sends, about 700 bytes each, eight labels, spread over 500 groups of
//! alert name and cluster. The same number is always the same alert.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const TEAMS: [&str; 8] = ["payments", "checkout", "search", "identity", "platform", "data", "mobile", "edge"];
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
const NAMES: u64 = 50;
const CLUSTERS: u64 = 10;
const SERVICES: u64 = 200;

/// Stands before an alert's number in its `pod` label; a webhook's body is searched for it.
pub const MARK: &str = "-7d9f8b6c5d-";

/// Digits of the number behind [`MARK`].
pub const ID_DIGITS: usize = 7;

/// What all alerts of a body have in common.
pub struct Look {
    /// Seconds since 1970. Repeats of an alert have that of the first, as Prometheus sends them.
    pub starts_at: u64,
    /// Seconds since 1970; moves with each sending.
    pub ends_at: u64,
    /// More labels, as JSON: `,"zone":"a"`.
    pub extra: String,
    /// Another number gives other annotations, and the same alert.
    pub variation: u64,
}

impl Look {
    /// Alerts that began at `starts_at` and are sent now, to be heard of again within ten hours.
    pub fn since(starts_at: u64) -> Look {
        Look { starts_at, ends_at: now() + 36_000, extra: String::new(), variation: 0 }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The body of a request that posts these alerts.
pub fn body(ids: &[u64], look: &Look) -> String {
    let mut text = String::with_capacity(ids.len() * 720 + 2);
    text.push('[');
    for (position, id) in ids.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        push_alert(&mut text, *id, look);
    }
    text.push(']');
    text
}

fn push_alert(text: &mut String, id: u64, look: &Look) {
    // Fibonacci hashing: neighbouring numbers differ in everything.
    let hash = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let pick = |shift: u32, of: u64| (hash >> shift) % of;
    let team = TEAMS[usize::try_from(pick(8, 8)).unwrap_or(0)];
    let severity = SEVERITIES[usize::try_from(pick(40, 3)).unwrap_or(0)];
    let (service, name, cluster) = (pick(16, SERVICES), pick(24, NAMES), pick(32, CLUSTERS));
    let (a, b, c) = ((id >> 16) & 255, (id >> 8) & 255, id & 255);
    let latency = (hash % 1000 + look.variation) % 1000;
    let (starts_at, ends_at) = (rfc3339(look.starts_at), rfc3339(look.ends_at));
    let extra = &look.extra;
    write!(
        text,
        "{{\"labels\":{{\"alertname\":\"HighRequestLatency{name:02}\",\"cluster\":\"eu-west-prod-{cluster:02}\",\
         \"namespace\":\"{team}\",\"service\":\"{team}-svc-{service:03}\",\"pod\":\"{team}-svc-{service:03}{MARK}{id:0ID_DIGITS$}\",\
         \"instance\":\"10.{a}.{b}.{c}:9100\",\"job\":\"kubernetes-pods\",\"severity\":\"{severity}\"{extra}}},\
         \"annotations\":{{\"summary\":\"p99 latency of {team}-svc-{service:03} above 500ms for 5m\",\
         \"description\":\"The 99th percentile of request latency is 0.{latency:03}s, see https://runbooks.example.com/latency/{name:02}\"}},\
         \"startsAt\":\"{starts_at}\",\"endsAt\":\"{ends_at}\",\
         \"generatorURL\":\"http://prometheus-{cluster:02}:9090/graph?g0.expr=histogram_quantile%280.99%2C+rate%28\
         http_request_duration_seconds_bucket%7Bservice%3D%22{team}-svc-{service:03}%22%7D%5B5m%5D%29%29+%3E+0.5&g0.tab=1\"}}"
    )
    .expect("writing to a String cannot fail");
}

/// A moment as Prometheus writes it. Days to a date by counting years from March, so that the leap day is the last one.
fn rfc3339(seconds: u64) -> String {
    let (days, in_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.123Z", in_day / 3_600, in_day / 60 % 60, in_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let cases = [
            (0, "1970-01-01T00:00:00.123Z"),
            (1_709_164_799, "2024-02-28T23:59:59.123Z"),
            (1_709_164_800, "2024-02-29T00:00:00.123Z"),
            (1_767_571_200, "2026-01-05T00:00:00.123Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn variations_are_the_same_alert() {
        let look = |variation| Look { variation, ..Look::since(1_767_571_200) };
        let (one, other) = (body(&[7], &look(0)), body(&[7], &look(1)));
        assert_ne!(one, other);
        let labels = |body: &str| body.split("\"annotations\"").next().map(str::to_owned);
        assert_eq!(labels(&one), labels(&other));
    }
}
