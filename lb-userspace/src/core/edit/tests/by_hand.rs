//! What is set by hand, and what undoes it.

use super::*;
use crate::core::config::Override;

#[test]
fn a_state_set_by_hand_stays_until_ready() {
    let (document, plan) = done(&start(), state("web", "10.0.1.1", AdminState::Drain));
    assert_eq!(
        plan,
        ["~ backend web/web-1: state ready -> drain, set by the configuration -> anna"]
    );
    assert_eq!(document.file, start().file);
    unchanged(&document, own_save(&document));
    let (document, _) = done(&document, backend_set("web", "web-1", json!({"priority": 1})));
    let (document, _) = done(&document, backend_set("web", "web-1", json!({"name": "first"})));
    let (document, _) = done(&document, service_set("web", json!({"name": "www"})));
    let backend = &document.resolve(&Capabilities::all()).unwrap().0.services[0].backends[0];
    assert_eq!((backend.state, &backend.set_by), (AdminState::Drain, &Some(anna())));
    let (document, _) = done(&document, state("www", "first", AdminState::Ready));
    assert_eq!(document.overrides, Overrides::new());
}

#[test]
fn ready_by_hand_goes_before_a_configured_drain() {
    let (document, _) = done(&start(), backend_set("web", "web-1", json!({"state": "drain"})));
    let (document, _) = done(&document, state("web", "web-1", AdminState::Ready));
    assert_eq!(document.overrides["web/web-1"].state, Some(AdminState::Ready));
    let (document, plan) = done(&document, backend_set("web", "web-1", json!({"state": "maint"})));
    assert_eq!(
        plan,
        ["~ backend web/web-1: state ready -> maint, set by anna -> the configuration"]
    );
    assert_eq!(document.overrides, Overrides::new());
}

#[test]
fn a_weight_set_by_hand_stays_until_it_is_cleared() {
    let held = |document: &Document| document.resolve(&Capabilities::all()).unwrap().0.services[0].backends[1].weight;
    let set = |document: &Document, change| done(document, weight("web", "web-2", change)).0;
    let document = set(&start(), WeightChange::Percent(25));
    assert_eq!(held(&document), 13);
    let document = set(&document, WeightChange::Percent(1));
    assert_eq!(held(&document), 1);
    let document = set(&document, WeightChange::Percent(0));
    assert_eq!(held(&document), 0);
    let document = set(&document, WeightChange::Absolute(60));
    let (document, _) = done(&document, backend_set("web", "web-2", json!({"priority": 1})));
    assert_eq!(held(&document), 60);
    assert_eq!(set(&document, WeightChange::Percent(100)).overrides, Overrides::new());
    let (document, plan) = done(&document, backend_set("web", "web-2", json!({"weight": 70})));
    assert_eq!(
        plan,
        ["~ backend web/web-2: weight 60 -> 70, configured weight 50 -> 70, set by anna -> the configuration"]
    );
    assert_eq!(document.overrides, Overrides::new());
}

#[test]
fn who_set_it_last_is_remembered() {
    let ben = SetBy {
        who: "ben".to_owned(),
        at: 9,
    };
    let (document, _) = done(&start(), state("web", "web-1", AdminState::Drain));
    let edit = weight("web", "web-1", WeightChange::Absolute(5));
    let document = apply(&document, &edit, &ben, &Capabilities::all()).unwrap().document;
    let both = Override {
        state: Some(AdminState::Drain),
        weight: Some(5),
        set_by: ben,
    };
    assert_eq!(document.overrides["web/web-1"], both);
}

#[test]
fn a_file_that_is_read_again_does_not_undo_what_lb_was_told() {
    let origin = |text| Origin::new("/etc/lb/lb.toml", text);
    let read = |document: &Document, text, overwrite| {
        reload(
            document,
            text,
            Format::Toml,
            origin(text),
            overwrite,
            &anna(),
            &Capabilities::all(),
        )
    };
    let document = read(&Document::empty(), WEB, false).unwrap().document;
    assert!(!document.edited && !document.is_outdated_by(&origin(WEB)));
    let again = read(&document, WEB, false).unwrap();
    assert!(!again.changed);
    let (drained, _) = done(&document, state("web", "web-1", AdminState::Drain));
    let newer = WEB.replace("weight = 50", "weight = 60");
    assert!(drained.is_outdated_by(&origin(&newer)));
    let reread = read(&drained, &newer, false).unwrap();
    assert_eq!(reread.plan, ["~ backend web/web-2: weight 50 -> 60"]);
    assert_eq!(reread.document.overrides, drained.overrides);

    let (edited, _) = done(&drained, backend_add("web", json!({"address": "10.0.1.4"})));
    assert!(edited.edited);
    let refusal = read(&edited, WEB, false).unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Conflict(why) if why.contains("lb save")),
        "{refusal}"
    );
    assert_eq!(
        read(&edited, WEB, true).unwrap().plan,
        ["- backend web/10.0.1.4 10.0.1.4:80 weight 100"]
    );
    // Once the file has the changes, there is nothing to lose.
    let saved = to_toml(&edited.file);
    assert!(!read(&edited, &saved, false).unwrap().document.edited);
}
