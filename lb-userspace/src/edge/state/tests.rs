//! A state directory from the outside.

use super::*;

fn document(revision: u64) -> Document {
    Document {
        revision,
        ..Document::empty()
    }
}

/// A directory with so many revisions.
fn stored(revisions: u64) -> (tempfile::TempDir, StateDir) {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path().join("lb")).unwrap();
    for revision in 1..=revisions {
        state.store(&document(revision)).unwrap();
    }
    (directory, state)
}

fn damage(state: &StateDir, name: &str) {
    let path = state.path().join(name);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"revision\":", "\"revision\":9")).unwrap();
}

#[test]
fn a_new_directory_holds_nothing() {
    let (_directory, state) = stored(0);
    let loaded = state.load().unwrap();
    assert!(loaded.document.is_none() && loaded.warning.is_none());
}

#[test]
fn what_is_stored_is_loaded_and_what_was_before_is_kept() {
    let (_directory, state) = stored(3);
    assert_eq!(state.load().unwrap().document, Some(document(3)));
    assert_eq!(state.revision(2).unwrap(), document(2));
    assert!(state.path().join(PREVIOUS).exists());
}

#[test]
fn a_damaged_document_gives_way_to_the_one_before_with_a_warning() {
    let (_directory, state) = stored(3);
    damage(&state, STATE);
    let loaded = state.load().unwrap();
    assert_eq!(loaded.document, Some(document(2)));
    let warning = loaded.warning.unwrap();
    assert!(
        warning.contains("state.json is damaged: its checksum differs"),
        "{warning}"
    );
}

#[test]
fn a_crash_between_the_two_renames_loses_nothing_that_was_answered() {
    let (_directory, state) = stored(3);
    fs::rename(state.path().join(STATE), state.path().join(PREVIOUS)).unwrap();
    assert_eq!(state.load().unwrap().document, Some(document(3)));
}

#[test]
fn when_nothing_can_be_read_the_error_names_the_files_and_the_remedy() {
    let (_directory, state) = stored(3);
    damage(&state, STATE);
    fs::write(state.path().join(PREVIOUS), "{").unwrap();
    let error = state.load().unwrap_err().to_string();
    for part in [
        "state.json is damaged",
        "state.json.1 is damaged",
        "copy ",
        "revisions/3.json",
    ] {
        assert!(error.contains(part), "{error}");
    }
    fs::copy(state.path().join("revisions/3.json"), state.path().join(STATE)).unwrap();
    assert_eq!(state.load().unwrap().document, Some(document(3)));
}

#[test]
fn a_newer_format_is_not_taken_for_damage() {
    let (_directory, state) = stored(1);
    fs::write(state.path().join(STATE), r#"{"version":2,"state":{}}"#).unwrap();
    assert!(matches!(state.load(), Err(StateError::Newer { version: 2, .. })));
}

#[test]
fn only_the_last_revisions_are_kept() {
    let (_directory, state) = stored(REVISIONS as u64 + 5);
    let revisions = state.revisions().unwrap();
    assert_eq!((revisions.len(), revisions[0]), (REVISIONS, 6));
}

#[test]
fn a_directory_belongs_to_one_daemon_at_a_time() {
    let (_directory, state) = stored(1);
    let error = StateDir::open(state.path()).unwrap_err().to_string();
    assert!(
        error.contains(&format!("in use by process {}", std::process::id())),
        "{error}"
    );
    let path = state.path().to_owned();
    drop(state);
    StateDir::open(path).unwrap();
}
