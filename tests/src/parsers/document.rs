//! Documents: one that is accepted says the same when it is printed, in either language; one that is refused is refused for a reason
//! that can be shown.

use lb_userspace::core::capabilities::Capabilities;
use lb_userspace::core::config::{Checked, Finding, Format, Severity, check, render, to_toml};

pub fn any(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match check(text, Format::of_text(text), &Capabilities::all()) {
        Ok(checked) => {
            can_be_shown(&checked.warnings, text);
            says_the_same(&checked, &to_toml(&checked.file), Format::Toml);
            let json = serde_json::to_string(&checked.file).expect("tables, text and numbers");
            says_the_same(&checked, &json, Format::Json);
        }
        Err(findings) => {
            assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
            can_be_shown(&findings, text);
        }
    }
}

fn says_the_same(checked: &Checked, text: &str, format: Format) {
    let again = check(text, format, &Capabilities::all());
    let again = again.unwrap_or_else(|findings| panic!("{findings:?}\n{text}"));
    assert_eq!(again.file, checked.file, "{text}");
    assert_eq!(again.model, checked.model, "{text}");
    assert_eq!(said(&again.warnings), said(&checked.warnings), "{text}");
}

/// What findings say, without their places and their order, which the text decides.
fn said(findings: &[Finding]) -> Vec<String> {
    let mut said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    said.sort();
    said
}

fn can_be_shown(findings: &[Finding], text: &str) {
    for finding in findings {
        super::is_one_line(&finding.to_string());
        let Some(place) = finding.place else { continue };
        assert!(place.line >= 1 && place.column >= 1 && place.length >= 1, "{finding:?}");
        assert!(place.line <= text.matches('\n').count() + 1, "{finding:?}");
    }
    let shown = render(findings, "lb.toml", text, false);
    assert!(shown.lines().count() >= findings.len());
}
