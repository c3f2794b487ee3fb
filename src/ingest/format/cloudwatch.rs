//! CloudWatch's alarms: over SNS in its envelope or raw, and over EventBridge. All three give one alarm the same key.
//!
//! An envelope names hosts (of its certificate, of the address that confirms). Only Amazon's own are let through here, and
//! none of them is ever asked here.

use super::{Aside, Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

pub(super) fn read(body: Field<'_>, depth: usize, out: &mut Out) -> Result<(), Unmapped> {
    match body.text("Type").as_deref() {
        None if body.is_there("detail") => event_bridge(body, out),
        None => alarm(body, out),
        Some(kind) => envelope(body, kind, depth, out),
    }
}

fn envelope(body: Field<'_>, kind: &str, depth: usize, out: &mut Out) -> Result<(), Unmapped> {
    if !body.need("SigningCertURL").is_ok_and(|url| amazon_host(&url).is_some()) {
        out.forbidden = Some("SigningCertURL is no address of Amazon SNS");
        return Ok(());
    }
    match kind {
        "Notification" => {
            // The alarm inside of an envelope is JSON in a text.
            body.need("Message")?;
            let message = body.inner("Message", depth).map_err(|Unmapped(why)| Unmapped(format!("`Message`: {why}")))?;
            if message.is_there("detail") { event_bridge(message, out) } else { alarm(message, out) }
        }
        "SubscriptionConfirmation" => {
            let confirm = body.need("SubscribeURL")?;
            if amazon_host(&confirm).is_some() {
                out.aside(Aside::Handshake { topic: body.need("TopicArn")?, confirm });
            } else {
                out.forbidden = Some("SubscribeURL is no address of Amazon SNS");
            }
            Ok(())
        }
        "UnsubscribeConfirmation" => {
            out.aside(Aside::Unsubscribed { topic: body.need("TopicArn")? });
            Ok(())
        }
        other => Err(Unmapped(format!("`Type` {other:?} is not known"))),
    }
}

/// The host of `https://sns.<region>.amazonaws.com/…`, and of China's; `None` for any other address.
pub(in crate::ingest) fn amazon_host(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next())?;
    let region =
        host.strip_suffix(".cn").unwrap_or(host).strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com"))?;
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!region.is_empty() && region.bytes().all(is_region)).then_some(host)
}

fn alarm(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let mut event = told(
        body,
        &body.need("AlarmArn")?,
        &body.need("AlarmName")?,
        &body.need("NewStateValue")?,
        &body.text("AlarmDescription").unwrap_or_default(),
    )?;
    for dimension in body.list("Trigger.Dimensions") {
        let name = dimension.first(&["name", "Name"]).unwrap_or_default();
        event = event.dimension(&name, dimension.first(&["value", "Value"]));
    }
    let metric = body.text("Trigger.MetricName");
    out.event(event.note("reason", body.text("NewStateReason")).note("metric", metric).at(body.time("StateChangeTime")));
    Ok(())
}

fn event_bridge(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let arn = body.list("resources").first().and_then(|first| first.as_text());
    let arn = arn.ok_or_else(|| Unmapped("`resources` is missing".to_owned()))?;
    let detail = body.get("detail");
    let description = detail.text("configuration.description").unwrap_or_default();
    let mut event = told(body, &arn, &detail.need("alarmName")?, &detail.need("state.value")?, &description)?;
    for metric in detail.list("configuration.metrics") {
        for (name, value) in metric.pairs("metricStat.metric.dimensions") {
            event = event.dimension(&name, Some(value));
        }
        event = event.note("metric", metric.text("metricStat.metric.name"));
    }
    out.event(event.note("reason", detail.text("state.reason")).at(detail.time("state.timestamp").or(body.time("time"))));
    Ok(())
}

/// What both ways say. The tool has no severities and no tags: `severity=critical service=checkout` in the alarm's
/// description is the custom for both.
fn told(body: Field<'_>, arn: &str, name: &str, value: &str, description: &str) -> Result<Event, Unmapped> {
    let (state, no_data) = match value {
        "ALARM" => (State::Firing, false),
        "INSUFFICIENT_DATA" => (State::Firing, true),
        "OK" => (State::Resolved, false),
        other => return Err(Unmapped(format!("the state {other:?} is not known"))),
    };
    let words = words::words(description);
    let word = words.iter().find(|(name, _)| name == "severity").map(|(_, value)| value.as_str());
    let severity: Option<Severity> = words::severity(body.notes(), word, &[]);
    // arn:aws:cloudwatch:<region>:<account>:alarm:<name>
    let region = arn.split(':').nth(3).map(str::to_owned);
    Ok(Event::new(format!("arn:{arn}"), state)
        .named(name, Some(name.to_owned()))
        .note("description", Some(description.to_owned()))
        .tags(words)
        .label("region", region)
        .severity(severity)
        .no_data(no_data))
}

impl Event {
    /// What a metric is of. Of the dimensions that name a machine or the like the first is the host.
    fn dimension(self, name: &str, value: Option<String>) -> Event {
        match name {
            "DBInstanceIdentifier" | "InstanceId" | "CacheClusterId" | "HostName" | "host" => self.label("host", value),
            "ClusterName" | "DBClusterIdentifier" => self.label("cluster", value),
            "ServiceName" | "FunctionName" => self.label("service", value),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::amazon_host;

    #[test]
    fn only_amazons_own_hosts_are_asked() {
        let cases = [
            ("https://sns.eu-west-1.amazonaws.com/x.pem", true),
            ("https://sns.cn-north-1.amazonaws.com.cn/x.pem", true),
            ("http://sns.eu-west-1.amazonaws.com/x.pem", false),
            ("https://sns.eu-west-1.amazonaws.com.evil.example/x.pem", false),
            ("https://sns.eu-west-1.amazonaws.com@evil.example/", false),
            ("https://sns.eu-west-1.amazonaws.com:8443/", false),
            ("https://sns..amazonaws.com/", false),
            ("https://evil.example/sns.eu-west-1.amazonaws.com", false),
            ("https://sns.a.b.amazonaws.com/", false),
        ];
        for (url, expected) in cases {
            assert_eq!(amazon_host(url).is_some(), expected, "{url}");
        }
    }
}
