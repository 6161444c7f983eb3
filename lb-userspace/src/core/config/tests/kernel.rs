//! What the kernel cannot do.

use super::*;

fn old() -> Capabilities {
    Capabilities {
        kernel: "5.10.0-46-amd64".into(),
        flow_table: false,
    }
}

fn refused_by_old(text: &str) -> Vec<String> {
    check(text, Format::Toml, &old()).map_or_else(|findings| errors(&findings), |_| Vec::new())
}

const BY_NAME: &str = "service web: mode fullnat is not available: kernel 5.10.0-46-amd64 has no atomic compare-exchange in BPF \
                       (needs 5.12); use mode gue, ipip, l2 or nat, or a kernel from 5.12 on";
const BY_DEFAULT: &str = "service web: mode fullnat, the default, is not available: kernel 5.10.0-46-amd64 has no atomic \
                          compare-exchange in BPF (needs 5.12); use mode gue, ipip, l2 or nat, or a kernel from 5.12 on";

#[test]
fn without_a_flow_table_fullnat_is_refused_and_all_else_is_not() {
    let with_mode = |mode: &str| web_with("port = 80", &format!("port = 80\nmode = \"{mode}\""));
    let by_default = |mode: &str, text: &str| format!("[defaults]\nmode = \"{mode}\"\n{text}");
    assert_eq!(refused_by_old(&with_mode("fullnat")), [BY_NAME]);
    assert_eq!(refused_by_old(WEB), [BY_DEFAULT]);
    assert_eq!(refused_by_old(&by_default("fullnat", WEB)), [BY_DEFAULT]);
    for mode in ["ipip", "l2", "nat"] {
        for text in [
            with_mode(mode),
            by_default(mode, WEB),
            by_default("fullnat", &with_mode(mode)),
        ] {
            assert_eq!(refused_by_old(&text), [] as [String; 0], "{text}");
        }
    }
    assert_eq!(refused_by_old(""), [] as [String; 0]);
    accepted(&with_mode("fullnat"));
}

/// Beside what else is wrong, and where the mode stands; without one, where the service does.
#[test]
fn it_is_found_with_all_else_and_at_its_place() {
    let text = "[[service]]\nname = \"web\"\naddress = \"192.0.2.10\"\nport = 0\nmode = \"fullnat\"\n\
                [[service]]\nname = \"dns\"\naddress = \"192.0.2.53\"\nport = 53\n";
    let findings = check(text, Format::Toml, &old()).expect_err("refused");
    let place = |finding: &Finding| finding.place.map(|place| (place.line, place.column));
    let at: Vec<_> = findings
        .iter()
        .map(|finding| (place(finding).unwrap(), finding.path.as_str()))
        .collect();
    assert_eq!(
        at,
        [
            ((4, 8), "service[0].port"),
            ((5, 8), "service[0].mode"),
            ((6, 1), "service[1].mode")
        ]
    );
}
