//! ServiceNow, by its Table API: one record of the incident table for each incident here, found by `correlation_id`.
//!
//! The API has no idempotent create. So every attempt looks first, by the `sys_id` that an earlier one learned or by the
//! correlation id, and creates only what is not there: an attempt whose answer was lost is found by the next. What the
//! look-up shows also decides whether there is anything to do: a ticket that people closed stays closed until the incident
//! is told anew.
//!
//! Priority is never sent; the instance computes it from impact and urgency.

use std::future::Future;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::{RequestBuilder, Url};
use serde_json::{Map, Value};

use super::client::{Answer, Client, Context, Secrets, parse_url};
use super::message::{self, Words};
use super::{Delivery, Fault, Message, Receiver, text};
use crate::config::{Secret, ServicenowConfig};
use crate::model::NotificationKind;

// Characters that their fields hold.
const SHORT_DESCRIPTION_MAX: usize = 160;
const DESCRIPTION_MAX: usize = 4_000;
const CORRELATION_ID_MAX: usize = 100;
/// Characters of a description that was refused at full length.
const DESCRIPTION_REDUCED: usize = 500;

/// Ours to their stored choice values, for names that differ. Others are sent as they are.
const CATEGORIES: [(&str, &str); 10] = [
    ("server", "hardware"),
    ("storage", "hardware"),
    ("facility", "hardware"),
    ("application", "software"),
    ("platform", "software"),
    ("monitoring", "software"),
    ("security", "software"),
    ("user_service", "inquiry"),
    ("business", "inquiry"),
    ("uncategorised", "inquiry"),
];

/// A ServiceNow instance.
pub(crate) struct Servicenow {
    client: Client,
    table: Url,
    config: ServicenowConfig,
}

/// A ticket as the instance shows it.
struct Ticket {
    sys_id: String,
    state: State,
}

/// Their states, as far as they decide anything here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// New (1), or one of the site's own.
    Untouched,
    /// In progress (2) and on hold (3): somebody has it.
    Taken,
    /// Resolved (6); may be opened again.
    Resolved,
    /// Closed (7) or cancelled (8), for good.
    Closed,
}

const IN_PROGRESS: &str = "2";
const RESOLVED: &str = "6";

impl Servicenow {
    /// # Errors
    /// What is wrong with the settings, in words.
    pub(crate) fn new(context: &Context, config: ServicenowConfig) -> Result<Servicenow, String> {
        let mut table = parse_url(&config.url)?;
        table.set_path(&format!("{}/api/now/table/incident", table.path().trim_end_matches('/')));
        let basic = BASE64.encode(format!("{}:{}", config.user, config.password.expose()));
        let secrets = Secrets::new([config.password.clone(), Secret::new(&basic)]);
        Ok(Servicenow { client: Client::new(context, context.timeouts.other, secrets)?, table, config })
    }

    async fn send(&self, message: &Message) -> Result<Delivery, Delivery> {
        if message.key.chars().count() > CORRELATION_ID_MAX || message.key.contains('^') {
            return Err(self
                .client
                .refused(Fault::Config, "the key is longer than 100 characters or holds `^`, which parts conditions"));
        }
        let ticket = self.find(message).await?;
        let remote = match (message.kind, ticket) {
            (NotificationKind::Trigger, Some(ticket)) if ticket.state == State::Closed => {
                self.create(message, Some(&ticket.sys_id)).await?
            }
            (NotificationKind::Trigger | NotificationKind::Update, None) => self.create(message, None).await?,
            (NotificationKind::Trigger, Some(ticket)) => self.refresh(message, ticket, true).await?,
            (NotificationKind::Update, Some(ticket)) if ticket.state < State::Resolved => {
                self.refresh(message, ticket, false).await?
            }
            (NotificationKind::Acknowledge, Some(ticket)) if ticket.state == State::Untouched => {
                let fields = [("state", IN_PROGRESS.to_owned()), ("work_notes", note(message))];
                self.set_state(message, &ticket, IN_PROGRESS, &fields).await?;
                ticket.sys_id
            }
            (NotificationKind::Resolve, Some(ticket)) if ticket.state < State::Resolved => {
                let fields = [
                    ("state", RESOLVED.to_owned()),
                    ("close_code", self.config.close_code.clone()),
                    ("close_notes", text::clip_chars(&message::words(message).body, DESCRIPTION_MAX)),
                ];
                self.set_state(message, &ticket, RESOLVED, &fields).await?;
                ticket.sys_id
            }
            // It stands as it should, or further along than we know.
            (_, Some(ticket)) => ticket.sys_id,
            // There is nothing to acknowledge or to resolve.
            (_, None) => return Ok(Delivery::Taken { remote: None }),
        };
        Ok(Delivery::Taken { remote: Some(remote) })
    }

    /// The incident's ticket: the one that we know of, if it still exists, else the newest active one with our correlation id.
    async fn find(&self, message: &Message) -> Result<Option<Ticket>, Delivery> {
        if let Some(known) = message.remote.as_deref().filter(|id| is_sys_id(id)) {
            let mut url = self.record(known);
            url.query_pairs_mut().append_pair("sysparm_fields", "sys_id,state");
            let answer = self.call(self.client.get(url), message).await?;
            // Deleted since; whoever needs it opens another.
            if answer.status != 404 {
                return self.ticket(&answer).map(Some);
            }
        }
        let mut url = self.table.clone();
        url.query_pairs_mut()
            .append_pair("sysparm_query", &format!("correlation_id={}^active=true^ORDERBYDESCsys_created_on", message.key))
            .append_pair("sysparm_fields", "sys_id,state")
            .append_pair("sysparm_limit", "1");
        let answer = self.call(self.client.get(url), message).await?;
        self.judge(&answer)?;
        let body = answer.json().ok_or_else(|| self.client.not_understood(&answer))?;
        match body.get("result").and_then(Value::as_array).map(Vec::as_slice) {
            Some([]) => Ok(None),
            Some([first, ..]) => ticket(first).map(Some).ok_or_else(|| self.client.not_understood(&answer)),
            None => Err(self.client.not_understood(&answer)),
        }
    }

    /// Opens a ticket; `after` is the closed one that it follows.
    async fn create(&self, message: &Message, after: Option<&str>) -> Result<String, Delivery> {
        let words = message::words(message);
        let mut fields = self.content(message, &words, DESCRIPTION_MAX);
        fields.extend(
            [
                ("contact_type", "monitoring"),
                ("correlation_id", message.key.as_str()),
                ("correlation_display", "Quell"),
                ("work_notes", &note(message)),
                ("assignment_group", self.config.assignment_group.as_deref().unwrap_or_default()),
                ("caller_id", self.config.caller_id.as_deref().unwrap_or_default()),
                ("parent_incident", after.unwrap_or_default()),
            ]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), Value::from(value))),
        );
        // References are read as names only where one is given; everything else would be taken for a label too.
        let references = [&self.config.assignment_group, &self.config.caller_id];
        let by_name = references.into_iter().flatten().any(|reference| !is_sys_id(reference));
        let mut url = self.table.clone();
        url.query_pairs_mut()
            .append_pair("sysparm_fields", "sys_id,state")
            .append_pair("sysparm_input_display_value", if by_name { "true" } else { "false" });
        let mut answer = self.send_fields(self.client.post(url.clone()), &fields, message).await?;
        if matches!(answer.status, 400 | 413) {
            fields.extend(self.content(message, &words, DESCRIPTION_REDUCED));
            answer = self.send_fields(self.client.post(url), &fields, message).await?;
        }
        Ok(self.ticket(&answer)?.sys_id)
    }

    /// Brings a ticket up to date; `reopen` for one that may have been resolved.
    async fn refresh(&self, message: &Message, ticket: Ticket, reopen: bool) -> Result<String, Delivery> {
        let mut fields = self.content(message, &message::words(message), DESCRIPTION_MAX);
        if reopen && ticket.state == State::Resolved {
            fields.insert("state".to_owned(), Value::from(IN_PROGRESS));
        }
        // After an earlier attempt the note may stand there already; notes cannot be taken back, so it is left out.
        if message.attempts == 0 {
            fields.insert("work_notes".to_owned(), Value::from(note(message)));
        }
        let answer = self.send_fields(self.client.patch(self.record(&ticket.sys_id)), &fields, message).await?;
        self.ticket(&answer)?;
        Ok(ticket.sys_id)
    }

    /// Moves a ticket to a state and reads back whether it is there: a field that the account may not write is silently ignored.
    async fn set_state(
        &self,
        message: &Message,
        ticket: &Ticket,
        state: &str,
        fields: &[(&str, String)],
    ) -> Result<(), Delivery> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
        let answer = self.send_fields(self.client.patch(self.record(&ticket.sys_id)), &fields, message).await?;
        if self.ticket(&answer)?.state == state_of(state) {
            return Ok(());
        }
        let error =
            format!("{}; the ticket did not go to state {state}: the account may lack the right", self.client.describe(&answer));
        Err(self.client.refused(Fault::Rejected, &error))
    }

    /// What a ticket says of the incident as it stands.
    fn content(&self, message: &Message, words: &Words, description_max: usize) -> Map<String, Value> {
        let incident = &message.incident;
        let ours = &*incident.category;
        let configured = self.config.categories.iter().map(|(from, to)| (from.as_str(), to.as_str()));
        let category = configured.chain(CATEGORIES).find(|(from, _)| *from == ours).map_or(ours, |(_, to)| to);
        let mut fields = Map::new();
        for (name, value) in [
            ("short_description", text::clip_chars(&words.head, SHORT_DESCRIPTION_MAX)),
            ("description", text::clip_chars(&words.body, description_max)),
            ("impact", incident.impact.to_string()),
            ("urgency", incident.urgency.to_string()),
            ("category", category.to_owned()),
            ("subcategory", incident.subcategory.as_deref().unwrap_or_default().to_owned()),
        ] {
            fields.insert(name.to_owned(), Value::from(value));
        }
        fields
    }

    async fn send_fields(
        &self,
        request: RequestBuilder,
        fields: &Map<String, Value>,
        message: &Message,
    ) -> Result<Answer, Delivery> {
        // A map of strings always serializes.
        let body = serde_json::to_string(fields).expect("strings as JSON");
        self.call(request.header("content-type", "application/json; charset=utf-8").body(body), message).await
    }

    async fn call(&self, request: RequestBuilder, message: &Message) -> Result<Answer, Delivery> {
        let request = request.basic_auth(&self.config.user, Some(self.config.password.expose()));
        self.client.call(request.header("accept", "application/json"), message.now).await
    }

    /// As everywhere, but 403 is a refusal of the data, not of us: a mandatory field, or a right that is missing.
    fn judge(&self, answer: &Answer) -> Result<(), Delivery> {
        if answer.status == 403 {
            return Err(self.client.refused(Fault::Rejected, &self.client.describe(answer)));
        }
        self.client.judge(answer)
    }

    /// The ticket in an answer. A hibernating instance answers 200 with a page, so a good status alone says nothing.
    fn ticket(&self, answer: &Answer) -> Result<Ticket, Delivery> {
        self.judge(answer)?;
        let body = answer.json();
        body.as_ref().and_then(|body| ticket(body.get("result")?)).ok_or_else(|| self.client.not_understood(answer))
    }

    fn record(&self, sys_id: &str) -> Url {
        let mut url = self.table.clone();
        url.set_path(&format!("{}/{sys_id}", self.table.path()));
        url
    }
}

impl Receiver for Servicenow {
    fn kind(&self) -> &'static str {
        "servicenow"
    }

    fn is_pager(&self) -> bool {
        false
    }

    fn deliver<'a>(&'a self, message: &'a Message) -> Pin<Box<dyn Future<Output = Delivery> + Send + 'a>> {
        Box::pin(async { self.send(message).await.unwrap_or_else(|failed| failed) })
    }
}

fn ticket(record: &Value) -> Option<Ticket> {
    let sys_id = record.get("sys_id")?.as_str().filter(|id| is_sys_id(id))?.to_owned();
    Some(Ticket { sys_id, state: state_of(record.get("state")?.as_str()?) })
}

fn state_of(state: &str) -> State {
    match state {
        "2" | "3" => State::Taken,
        "6" => State::Resolved,
        "7" | "8" => State::Closed,
        _ => State::Untouched,
    }
}

/// Whether a text is one of their ids; nothing else is ever put into a path.
fn is_sys_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What a message says, for the internal notes.
fn note(message: &Message) -> String {
    let summary = message::words(message).summary;
    let reason = text::line(&message.reason, 1_000);
    format!("{summary}\n{reason}")
}
