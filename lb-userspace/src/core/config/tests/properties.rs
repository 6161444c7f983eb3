//! What holds for any document.

use super::*;

proptest::proptest! {
    /// Whatever a document says, `lb save` prints what says the same.
    #[test]
    fn what_is_saved_reads_as_it_was(file in arbitrary::file()) {
        let text = to_toml(&file);
        proptest::prop_assert_eq!(parse(&text, Format::Toml).unwrap_or_else(|findings| panic!("{findings:?}\n{text}")), file);
    }

    /// No text, however mangled, is more than a finding, and each finding can be shown.
    #[test]
    fn no_text_is_too_strange(cut in 0..CONTRACT.len(), insert in ".{0,6}", drop in 0..40usize) {
        let cut = (0..=cut).rev().find(|at| CONTRACT.is_char_boundary(*at)).unwrap_or(0);
        let rest = CONTRACT[cut..].chars().skip(drop).collect::<String>();
        let text = format!("{}{insert}{rest}", &CONTRACT[..cut]);
        let findings = match check(&text, Format::Toml, &Capabilities::all()) {
            Ok(checked) => checked.warnings,
            Err(findings) => {
                proptest::prop_assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
                findings
            }
        };
        render(&findings, "x", &text, true);
    }

    /// A document of any values resolves or is refused for a reason.
    #[test]
    fn any_document_resolves_or_is_refused(file in arbitrary::file()) {
        if let Err(findings) = resolve(&file, &Overrides::new(), 0, &Capabilities::all()) {
            proptest::prop_assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
        }
    }
}
