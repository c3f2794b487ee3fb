//! ServiceNow's incident table: create, query by correlation id, patch; basic authentication; priority computed, never taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::http::{Answer, Fault, Request, Server};

const TABLE: &str = "/api/now/table/incident";
/// Fields and how many characters they hold; fields that are not here are ignored without a word.
const FIELDS: [(&str, usize); 17] = [
    ("short_description", 160),
    ("description", 4_000),
    ("impact", 40),
    ("urgency", 40),
    ("category", 40),
    ("subcategory", 40),
    ("assignment_group", 100),
    ("caller_id", 100),
    ("contact_type", 40),
    ("correlation_id", 100),
    ("correlation_display", 100),
    ("parent_incident", 32),
    ("work_notes", 4_000),
    ("state", 40),
    ("close_code", 40),
    ("close_notes", 4_000),
    ("hold_reason", 40),
];

/// A ticket's fields; the notes one below the other.
pub(crate) type Ticket = BTreeMap<String, String>;

/// The instance.
pub(crate) struct ServiceNow {
    server: Server,
    instance: Arc<Mutex<Instance>>,
}

struct Instance {
    authorization: String,
    tickets: Vec<Ticket>,
    /// Fields that the account may not write.
    read_only: Vec<&'static str>,
}

impl ServiceNow {
    /// Starts one that knows one user.
    pub(crate) fn start(user: &str, password: &str) -> ServiceNow {
        let instance =
            Arc::new(Mutex::new(Instance { authorization: basic(user, password), tickets: vec![], read_only: vec![] }));
        let shared = instance.clone();
        ServiceNow { server: Server::start(move |request| shared.lock().unwrap().answer(request)), instance }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.server.script(faults);
    }

    /// All tickets, in order of creation.
    pub(crate) fn tickets(&self) -> Vec<Ticket> {
        self.instance.lock().unwrap().tickets.clone()
    }

    /// Does to a ticket, by its place, what a person would do there.
    pub(crate) fn edit(&self, index: usize, field: &str, value: &str) {
        self.instance.lock().unwrap().tickets[index].insert(field.to_owned(), value.to_owned());
    }

    /// Deletes all tickets.
    pub(crate) fn clear(&self) {
        self.instance.lock().unwrap().tickets.clear();
    }

    /// Makes a field one that the account may not write.
    pub(crate) fn forbid(&self, field: &'static str) {
        self.instance.lock().unwrap().read_only.push(field);
    }

    /// Changes the password.
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        self.instance.lock().unwrap().authorization = basic(user, password);
    }
}

impl Instance {
    fn answer(&mut self, request: &Request) -> Answer {
        if request.header("authorization") != self.authorization {
            return failure(401, "User Not Authenticated");
        }
        let Some(rest) = request.path.strip_prefix(TABLE) else {
            return failure(404, "Requested URI does not represent any resource");
        };
        let id = rest.trim_start_matches('/');
        match (request.method.as_str(), id) {
            ("POST", "") => self.create(request),
            ("GET", "") => self.query(request),
            ("GET", id) => self.with(id, |ticket| Answer::json(200, &json!({ "result": ticket }))),
            ("PATCH", id) => self.patch(id, request),
            _ => failure(405, "Method not supported"),
        }
    }

    fn create(&mut self, request: &Request) -> Answer {
        let number = self.tickets.len() + 1;
        let mut ticket = Ticket::from([
            ("sys_id".to_owned(), format!("{number:032x}")),
            ("number".to_owned(), format!("INC{number:07}")),
            ("state".to_owned(), "1".to_owned()),
        ]);
        if let Err(refusal) = self.write(&mut ticket, request) {
            return refusal;
        }
        if ticket.get("short_description").is_none_or(String::is_empty) {
            return failure(403, "Data Policy Exception: Short description is mandatory");
        }
        let answer = Answer::json(201, &json!({ "result": ticket }));
        self.tickets.push(ticket);
        answer
    }

    fn patch(&mut self, id: &str, request: &Request) -> Answer {
        let Some(index) = self.tickets.iter().position(|ticket| ticket["sys_id"] == id) else { return no_record() };
        let mut ticket = self.tickets[index].clone();
        if let Err(refusal) = self.write(&mut ticket, request) {
            return refusal;
        }
        self.tickets[index] = ticket.clone();
        Answer::json(200, &json!({ "result": ticket }))
    }

    /// Understands conditions of equality, `active` and an order, which is all that is asked of it.
    fn query(&self, request: &Request) -> Answer {
        let url = reqwest::Url::parse(&format!("http://x/?{}", request.query)).unwrap();
        let parameter = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        let query = parameter("sysparm_query").unwrap_or_default();
        let mut found: Vec<&Ticket> = self.tickets.iter().collect();
        for condition in query.split('^') {
            match condition.split_once('=') {
                Some(("active", wanted)) => found.retain(|t| !matches!(t["state"].as_str(), "7" | "8") == (wanted == "true")),
                Some((field, wanted)) => found.retain(|t| t.get(field).is_some_and(|value| value == wanted)),
                None if condition == "ORDERBYDESCsys_created_on" => found.reverse(),
                None => return failure(400, "Invalid query"),
            }
        }
        found.truncate(parameter("sysparm_limit").and_then(|limit| limit.parse().ok()).unwrap_or(10_000));
        Answer::json(200, &json!({ "result": found }))
    }

    fn with(&self, id: &str, answer: impl FnOnce(&Ticket) -> Answer) -> Answer {
        self.tickets.iter().find(|ticket| ticket["sys_id"] == id).map_or_else(no_record, answer)
    }

    fn write(&self, ticket: &mut Ticket, request: &Request) -> Result<(), Answer> {
        let Value::Object(fields) = request.json() else { return Err(failure(400, "Invalid JSON")) };
        for (name, value) in fields {
            let Some(value) = value.as_str() else { return Err(failure(400, "values are strings")) };
            let Some((_, max)) = FIELDS.iter().find(|(known, _)| *known == name) else { continue };
            // The real one cuts what is too long, and with it a key or a link. Here it is told.
            if value.chars().count() > *max {
                return Err(failure(400, &format!("{name} is too long")));
            }
            if self.read_only.contains(&name.as_str()) {
                continue;
            }
            match (name.as_str(), ticket.get_mut(&name)) {
                ("work_notes", Some(notes)) => notes.extend(["\n", value]),
                _ => drop(ticket.insert(name, value.to_owned())),
            }
        }
        let missing = |name: &str| ticket.get(name).is_none_or(String::is_empty);
        if ticket["state"] == "6" && (missing("close_code") || missing("close_notes")) {
            return Err(failure(403, "Data Policy Exception: Close code and close notes are mandatory"));
        }
        let number = |name: &str| ticket.get(name).and_then(|value| value.parse::<u8>().ok()).unwrap_or(3);
        let priority = number("impact") + number("urgency") - 1;
        ticket.insert("priority".to_owned(), priority.to_string());
        Ok(())
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

fn no_record() -> Answer {
    failure(404, "No Record found")
}

fn failure(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "message": message, "detail": "" }, "status": "failure" }))
}
