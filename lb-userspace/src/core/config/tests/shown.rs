//! How findings read.

use super::*;

/// A document with one mistake of each kind, and what is said about them.
const WRONG: &str = include_str!("../../../../tests/fixtures/wrong.toml");
const WRONG_FINDINGS: &str = include_str!("../../../../tests/fixtures/wrong.findings");

/// The golden file is what `lb config check wrong.toml` prints beside it.
#[test]
fn all_findings_come_at_once_each_at_its_place() {
    let Err(findings) = check(WRONG, Format::Toml, &Capabilities::all()) else {
        panic!("accepted")
    };
    let rendered = render(&findings, "wrong.toml", WRONG, false);
    assert_eq!(rendered, WRONG_FINDINGS, "\n{rendered}");
}

#[test]
fn syntax_errors_have_a_place() {
    let text = "version = 1\n[node]\nname = lb1\nsource =\n";
    let Err(findings) = check(text, Format::Toml, &Capabilities::all()) else {
        panic!("accepted")
    };
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| finding.place.map(|place| place.line))
        .collect();
    assert_eq!(lines, [Some(3), Some(4)], "{findings:?}");
    let Err(findings) = check("{\"version\": 1,\n  x}", Format::Json, &Capabilities::all()) else {
        panic!("accepted")
    };
    assert_eq!(
        findings[0].place,
        Some(Place {
            line: 2,
            column: 3,
            length: 1
        })
    );
}

#[test]
fn a_tab_and_a_wide_character_do_not_move_the_caret() {
    let text = "[node]\n\tname = \"ü\"; interfaces = 3\n".replace(';', "\n");
    let Err(findings) = check(&text, Format::Toml, &Capabilities::all()) else {
        panic!("accepted")
    };
    let rendered = render(&findings, "x", &text, false);
    let lines: Vec<_> = rendered.lines().collect();
    assert_eq!(lines[1].rfind('3'), lines[2].find('^'), "{rendered}");
}

#[test]
fn colour_only_when_asked_for() {
    let Err(findings) = check("x = 1", Format::Toml, &Capabilities::all()) else {
        panic!("accepted")
    };
    assert!(!render(&findings, "x", "x = 1", false).contains('\x1b'));
    assert!(render(&findings, "x", "x = 1", true).contains('\x1b'));
}
