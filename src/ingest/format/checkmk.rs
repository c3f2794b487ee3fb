//! Checkmk: a notification script that posts its environment, `NOTIFY_` left out.

use super::{Event, Field, Out, Unmapped, states, words};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let Some(state) = states::told(body, "NOTIFICATIONTYPE", out)? else { return Ok(()) };
    let (site, host) = (body.text("OMD_SITE").unwrap_or_default(), body.need("HOSTNAME")?);
    let check = if body.text("WHAT").as_deref() == Some("HOST") { None } else { Some(body.need("SERVICEDESC")?) };
    let (key, word, output) = match &check {
        Some(check) => (format!("{site}/{host}!{check}"), body.first(&["SERVICESHORTSTATE", "SERVICESTATE"]), "SERVICEOUTPUT"),
        None => (format!("{site}/{host}"), body.first(&["HOSTSHORTSTATE", "HOSTSTATE"]), "HOSTOUTPUT"),
    };
    let severity = word.as_deref().filter(|word| !states::is_good(word));
    // The script's environment has its line breaks as two characters.
    let long = body.first(&["LONGSERVICEOUTPUT", "LONGHOSTOUTPUT"]).map(|text| text.replace("\\n", "\n"));
    out.event(
        Event::new(key, state)
            .named(check.as_deref().unwrap_or("host down"), body.text(output))
            .label("host", Some(host))
            .label("site", Some(site))
            .note("description", long)
            .note("comment", body.text("NOTIFICATIONCOMMENT"))
            .note("performance", body.text("SERVICEPERFDATA"))
            .note("address", body.text("HOSTADDRESS"))
            .link(body.first(&["SERVICEURL", "HOSTURL"]))
            .severity(words::severity(body.notes(), severity, &states::SEVERITIES))
            .no_data(word.as_deref().is_some_and(states::is_no_data))
            .at(body.time("MICROTIME")),
    );
    Ok(())
}
