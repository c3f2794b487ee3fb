//! Nagios: a notification command that posts its macros. A host's message has no service in it.
//!
//! `SERVICEPROBLEMID` is 0 in the recovery, so host and service are the key.

use super::{Event, Field, Out, Unmapped, states, words};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let Some(state) = states::told(body, "NOTIFICATIONTYPE", out)? else { return Ok(()) };
    let host = body.need("HOSTNAME")?;
    let check = body.text("SERVICEDESC");
    let (key, word, output) = match &check {
        Some(check) => (format!("{host}!{check}"), body.need("SERVICESTATE")?, body.text("SERVICEOUTPUT")),
        None => (host.clone(), body.need("HOSTSTATE")?, body.text("HOSTOUTPUT")),
    };
    let severity = Some(word.as_str()).filter(|word| !states::is_good(word));
    out.event(
        Event::new(key, state)
            .named(check.as_deref().unwrap_or("host down"), output)
            .label("host", Some(host))
            .note("comment", body.text("NOTIFICATIONCOMMENT"))
            .note("groups", body.first(&["SERVICEGROUPNAMES", "HOSTGROUPNAMES"]))
            .note("performance", body.first(&["SERVICEPERFDATA", "HOSTPERFDATA"]))
            .note("address", body.text("HOSTADDRESS"))
            .severity(words::severity(body.notes(), severity, &states::SEVERITIES))
            .no_data(states::is_no_data(&word))
            .at(body.time("TIMET")),
    );
    Ok(())
}
