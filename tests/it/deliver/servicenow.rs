//! ServiceNow: the life of a ticket, what people do to it meanwhile, and the settings that instances differ in.

use super::*;
use crate::fakes::Fault as Script;

const LONG: Millis = Millis::seconds(30);

fn start() -> (ServiceNow, Box<dyn Receiver>) {
    let fake = ServiceNow::start("quell", PASSWORD);
    let receiver = receiver(servicenow_kind(fake.url()), &context(LONG));
    (fake, receiver)
}

#[tokio::test]
async fn an_incident_is_one_ticket_from_new_to_resolved() {
    let (fake, receiver) = start();
    assert!(!receiver.is_pager());
    let mut remote = None;
    for (kind, state) in [
        (NotificationKind::Trigger, "1"),
        (NotificationKind::Update, "1"),
        (NotificationKind::Acknowledge, "2"),
        (NotificationKind::Update, "2"),
        (NotificationKind::Resolve, "6"),
        (NotificationKind::Resolve, "6"),
    ] {
        let message = Message { remote: remote.clone(), actor: Some("ann".into()), ..message(kind, 1042) };
        let told = taken(&*receiver, &message).await;
        let tickets = fake.tickets();
        assert_eq!(tickets.len(), 1);
        assert_eq!(tickets[0]["state"], state, "after {kind:?}");
        assert_eq!(told.as_ref(), Some(&tickets[0]["sys_id"]));
        remote = told;
    }
    let ticket = &fake.tickets()[0];
    assert_eq!(ticket["close_code"], "Solution provided");
    assert!(ticket["close_notes"].starts_with("Resolved: P1 checkout — Database trouble in eu1"), "{}", ticket["close_notes"]);
    assert!(ticket["work_notes"].contains("Acknowledged by ann"), "{}", ticket["work_notes"]);
}

#[tokio::test]
async fn a_new_ticket_is_filled_in() {
    let (fake, receiver) = start();
    taken(&*receiver, &message(NotificationKind::Trigger, 1042)).await;
    let ticket = &fake.tickets()[0];
    for (field, expected) in [
        ("short_description", "P1 checkout: 2 alerts, critical — Database trouble in eu1"),
        ("impact", "1"),
        ("urgency", "1"),
        ("priority", "1"),
        ("category", "database"),
        ("subcategory", "replication"),
        ("assignment_group", "Database team"),
        ("contact_type", "monitoring"),
        ("correlation_id", "d0c5/INC-1042"),
        ("correlation_display", "Quell"),
    ] {
        assert_eq!(ticket.get(field).map(String::as_str), Some(expected), "{field}");
    }
    assert!(ticket["description"].contains("INC-1042 is open") && ticket["description"].contains("the policy page-dba says so"));
    let requests = fake.requests();
    let created = requests.iter().find(|request| request.method == "POST").unwrap();
    assert!(created.json().get("priority").is_none());
    assert!(created.query.contains("sysparm_input_display_value=true"), "a group by its name: {}", created.query);
}

#[tokio::test]
async fn categories_are_theirs_where_ours_differ() {
    let (fake, receiver) = start();
    let cases = [
        ("server", "hardware"),
        ("application", "software"),
        ("network", "network"),
        ("business", "orders"),
        ("custom", "custom"),
    ];
    for (number, (ours, _)) in (1..).zip(cases) {
        let mut message = message(NotificationKind::Trigger, number);
        change(&mut message, |incident| incident.category = ours.into());
        taken(&*receiver, &message).await;
    }
    let theirs: Vec<String> = fake.tickets().iter().map(|ticket| ticket["category"].clone()).collect();
    assert_eq!(theirs, cases.map(|(_, theirs)| theirs));
}

#[tokio::test]
async fn what_people_did_there_is_respected() {
    // The state that a person left it in, what comes next, the state after it and the number of tickets.
    for (left, kind, state, tickets) in [
        ("6", NotificationKind::Trigger, "2", 1),
        ("7", NotificationKind::Trigger, "1", 2),
        ("8", NotificationKind::Trigger, "1", 2),
        ("6", NotificationKind::Update, "6", 1),
        ("7", NotificationKind::Update, "7", 1),
        ("6", NotificationKind::Acknowledge, "6", 1),
        ("7", NotificationKind::Acknowledge, "7", 1),
        ("3", NotificationKind::Acknowledge, "3", 1),
        ("3", NotificationKind::Update, "3", 1),
        ("7", NotificationKind::Resolve, "7", 1),
        ("3", NotificationKind::Resolve, "6", 1),
    ] {
        let (fake, receiver) = start();
        let remote = taken(&*receiver, &message(NotificationKind::Trigger, 1)).await;
        fake.edit(0, "state", left);
        taken(&*receiver, &Message { remote: remote.clone(), again: true, ..message(kind, 1) }).await;
        let all = fake.tickets();
        assert_eq!((all.last().unwrap()["state"].as_str(), all.len()), (state, tickets), "{kind:?} on state {left}");
        if tickets == 2 {
            assert_eq!(Some(&all[1]["parent_incident"]), remote.as_ref());
        }
    }
}

#[tokio::test]
async fn a_deleted_ticket_is_opened_anew_only_by_what_opens() {
    for (kind, tickets) in [(NotificationKind::Update, 1), (NotificationKind::Acknowledge, 0), (NotificationKind::Resolve, 0)] {
        let (fake, receiver) = start();
        let remote = taken(&*receiver, &message(NotificationKind::Trigger, 1)).await;
        fake.clear();
        taken(&*receiver, &Message { remote, ..message(kind, 1) }).await;
        assert_eq!(fake.tickets().len(), tickets, "{kind:?}");
    }
}

#[tokio::test]
async fn a_repeat_adds_no_second_note() {
    let (fake, receiver) = start();
    fake.script([Script::Pass, Script::TakeThenDrop]);
    let first = message(NotificationKind::Trigger, 1);
    assert_eq!(fault_of(&receiver.deliver(&first).await), Some((true, Fault::Network)));
    taken(&*receiver, &again(&first)).await;
    assert_eq!(fake.tickets()[0]["work_notes"].matches("P1 checkout").count(), 1);
}

#[tokio::test]
async fn a_right_that_is_missing_is_a_visible_failure() {
    let (fake, receiver) = start();
    taken(&*receiver, &message(NotificationKind::Trigger, 1)).await;
    fake.forbid("state");
    for kind in [NotificationKind::Acknowledge, NotificationKind::Resolve] {
        let delivery = receiver.deliver(&message(kind, 1)).await;
        assert_eq!(fault_of(&delivery), Some((false, Fault::Rejected)), "{delivery:?}");
        assert!(error_of(&delivery).contains("may lack the right"), "{delivery:?}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_worth_a_probe() {
    let (fake, receiver) = start();
    fake.set_password("quell", "changed");
    let first = message(NotificationKind::Trigger, 1);
    let delivery = receiver.deliver(&first).await;
    assert_eq!(fault_of(&delivery), Some((true, Fault::Auth)));
    assert!(error_of(&delivery).contains("User Not Authenticated"), "{delivery:?}");
    fake.set_password("quell", PASSWORD);
    taken(&*receiver, &again(&first)).await;
    assert_eq!(fake.tickets().len(), 1);
}

#[tokio::test]
async fn a_refused_create_is_tried_once_more_with_less() {
    let (fake, receiver) = start();
    let refusal = || Script::Answer(Answer::text(400, "no"));
    fake.script([Script::Pass, refusal()]);
    taken(&*receiver, &message(NotificationKind::Trigger, 1)).await;
    assert_eq!((fake.requests().len(), fake.tickets().len()), (3, 1));
    fake.script([Script::Pass, refusal(), refusal()]);
    assert_eq!(fault_of(&receiver.deliver(&message(NotificationKind::Trigger, 2)).await), Some((false, Fault::Rejected)));
    assert_eq!(fake.requests().len(), 6);
    // What the instance's own policy forbids is not tried again at all.
    fake.script([Script::Pass, Script::Answer(Answer::text(403, "Data Policy Exception"))]);
    assert_eq!(fault_of(&receiver.deliver(&message(NotificationKind::Trigger, 3)).await), Some((false, Fault::Rejected)));
    assert_eq!(fake.requests().len(), 8);
}

#[tokio::test]
async fn long_and_wide_text_fits_and_odd_keys_are_refused() {
    let (fake, receiver) = start();
    for (number, title) in (1..).zip([40, 159, 160, 161, 5_000]) {
        let mut message = message(NotificationKind::Trigger, number);
        change(&mut message, |incident| incident.title = "ü".repeat(title).into());
        message.reason = "ß".repeat(10_000);
        message.alerts = (0..20).map(|_| alert(&[("alertname", &"é".repeat(3_000))], &"ö".repeat(5_000))).collect();
        taken(&*receiver, &message).await;
    }
    assert!(fake.requests().iter().filter(|request| request.method == "POST").count() == 5, "the fake refused one");
    for (key, good) in [("k".repeat(100), true), ("k".repeat(101), false), ("a^active=false".to_owned(), false)] {
        let message = Message { key, ..message(NotificationKind::Trigger, 9) };
        let delivery = receiver.deliver(&message).await;
        assert_eq!(fault_of(&delivery), (!good).then_some((false, Fault::Config)), "{}: {delivery:?}", message.key);
    }
}
