//! Numbers as people read them.

/// Three digits that say something, thousands set apart: `0.0123`, `1.08`, `41.2`, `20,312`.
pub fn plain(value: f64) -> String {
    let decimals = match value.abs() {
        _ if value == 0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        _ => return format!("{value:.2e}"),
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{fraction}", thousands(whole))
}

/// With what it is measured in; a ratio is a number.
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "ratio" => plain(value),
        _ => format!("{} {unit}", plain(value)),
    }
}

/// A share, as percent: `0.8 %`.
pub fn percent(share: f64) -> String {
    match share.abs() * 100.0 {
        99.95.. => format!("{} %", thousands(&format!("{:.0}", share * 100.0))),
        _ => format!("{:.1} %", share * 100.0),
    }
}

/// Short, for an axis: `0.5`, `20 k`, `1.5 M`.
pub fn short(value: f64) -> String {
    let (divisor, letter) = match value.abs() {
        1e9.. => (1e9, " G"),
        1e6.. => (1e6, " M"),
        1e3.. => (1e3, " k"),
        _ => (1.0, ""),
    };
    // What arithmetic leaves in the last digits goes.
    let rounded = format!("{:.6}", value / divisor);
    let text = rounded.trim_end_matches('0').trim_end_matches('.');
    format!("{}{letter}", if text == "-0" { "0" } else { text })
}

/// A number of flows, which are powers of two where there are many: `1 flow`, `64 k`, `1 M`.
pub fn flows(flows: u32) -> String {
    match flows {
        1 => "1 flow".into(),
        _ if flows >= 1 << 20 && flows.is_multiple_of(1 << 20) => format!("{} M", flows >> 20),
        _ if flows >= 1 << 10 && flows.is_multiple_of(1 << 10) => format!("{} k", flows >> 10),
        _ => flows.to_string(),
    }
}

fn thousands(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_say_something() {
        let texts = [
            0.0,
            0.001_234,
            0.0123,
            -0.5,
            1.0849,
            41.23,
            999.6,
            20_312.4,
            -1_234_567.0,
        ]
        .map(plain);
        let wanted = [
            "0",
            "1.23e-3",
            "0.0123",
            "-0.500",
            "1.08",
            "41.2",
            "1,000",
            "20,312",
            "-1,234,567",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn units() {
        assert_eq!(with_unit(41.23, "ns"), "41.2 ns");
        assert_eq!(with_unit(1.5, "ratio"), "1.50");
        assert_eq!(
            [0.008, -0.03, 1.0, 12.0].map(percent),
            ["0.8 %", "-3.0 %", "100 %", "1,200 %"]
        );
    }

    #[test]
    fn numbers_of_flows() {
        let texts = [1, 1000, 1024, 65_536, 1 << 20].map(flows);
        assert_eq!(texts, ["1 flow", "1000", "1 k", "64 k", "1 M"]);
    }

    #[test]
    fn labels_of_axes() {
        let values = [
            0.0,
            -0.0,
            0.30000000000000004,
            2500.0,
            10_000.0,
            1_500_000.0,
            2e9,
            -40_000.0,
        ];
        let wanted = ["0", "0", "0.3", "2.5 k", "10 k", "1.5 M", "2 G", "-40 k"];
        assert_eq!(values.map(short), wanted);
    }
}
