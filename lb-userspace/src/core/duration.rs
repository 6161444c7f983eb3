//! Lengths of time as people write and read them: `500ms`, `2s`, `1m30s`.

use std::time::Duration;

/// Reads a number with its unit, as the configuration does. The error is a clause for the end of a sentence.
pub fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a duration; give a number with its unit, as 500ms, 2s, 5m or 1h"))
}

/// For people: the two largest units at most, as `2m58s`; below a second with one decimal, as `1.8ms`.
pub fn show(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{:.1}ms", duration.as_secs_f64() * 1000.0);
    }
    let seconds = duration.as_secs();
    let (days, hours, minutes, rest) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")];
    let first = parts
        .iter()
        .position(|(number, _)| *number > 0)
        .unwrap_or(parts.len() - 1);
    parts[first..]
        .iter()
        .take(2)
        .enumerate()
        .filter(|(index, (number, _))| *index == 0 || *number > 0)
        .map(|(_, (number, unit))| format!("{number}{unit}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("2s", 2000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_has_no_unit_or_no_number() {
        for text in ["", "5", "s", "-1s", "5x", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shows_two_units_at_most() {
        let shown = |milliseconds| show(Duration::from_millis(milliseconds));
        assert_eq!(shown(0), "0.0ms");
        assert_eq!(shown(12), "12.0ms");
        assert_eq!(shown(1000), "1s");
        assert_eq!(shown(178_000), "2m58s");
        assert_eq!(shown(3_600_000), "1h");
        assert_eq!(shown(90_061_000), "1d1h");
    }
}
