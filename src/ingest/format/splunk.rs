//! Splunk's webhook alert action: the first row of a search's result. Nothing ever says that it is over, so its alerts end
//! when the search has been quiet for the source's `resolve_after`.

use super::{Event, Field, Out, State, Unmapped, words};

/// The fields of a row that tell its alerts apart: what was searched says which machine, if any.
const IDENTITY: [&str; 2] = ["host", "service"];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let row = body.get("result");
    // A search that was never saved has no name, and its id changes with every run.
    let name = body.need("search_name")?;
    let key = match IDENTITY.iter().find_map(|field| Some((field, row.text(field)?))) {
        Some((field, value)) => format!("search:{name}/{field}={value}"),
        None => format!("search:{name}"),
    };
    out.event(
        Event::new(key, State::Firing)
            .named(&name, Some(name.clone()))
            .tags(words::fields(row))
            .note("description", row.first(&["message", "_raw"]))
            .note("count", row.text("count"))
            .note("app", body.text("app"))
            .link(body.text("results_link"))
            .severity(words::severity(body.notes(), row.text("severity").as_deref(), &[]))
            .at(row.time("_time")),
    );
    Ok(())
}
