//! Numbers and times as people read them.

use std::time::Duration;

use crate::core::duration;

/// Whole up to 9999, then with a thousand's letter: `1.2M`.
pub fn count(number: u64) -> String {
    if number < 10_000 {
        return number.to_string();
    }
    scaled(number as f64, &["k", "M", "G", "T", "P", "E"])
}

/// `512B`, `1.2MB`: thousands, as on network counters.
pub fn bytes(number: u64) -> String {
    if number < 1000 {
        return format!("{number}B");
    }
    scaled(number as f64, &["kB", "MB", "GB", "TB", "PB", "EB"])
}

/// Things in a second, from two readings; a counter that began anew counts from 0.
pub fn per_second(now: u64, before: u64, elapsed: Duration) -> f64 {
    let gained = now.checked_sub(before).unwrap_or(now);
    gained as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
}

/// `0`, `8.1`, `310k`.
pub fn rate(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if number < 1000.0 {
        return if number < 10.0 {
            format!("{number:.1}")
        } else {
            format!("{number:.0}")
        };
    }
    scaled(number, &["k", "M", "G", "T", "P", "E"])
}

/// Bits in a second: `240Mb/s`.
pub fn bit_rate(bytes_per_second: f64) -> String {
    let bits = bytes_per_second * 8.0;
    if bits < 1000.0 {
        return format!("{bits:.0}b/s");
    }
    scaled(bits, &["kb/s", "Mb/s", "Gb/s", "Tb/s", "Pb/s", "Eb/s"])
}

/// How long before `now` something was; both Unix times in seconds. A clock that was set back shows no time.
pub fn since(now: u64, then: u64) -> String {
    match now.saturating_sub(then) {
        0 => "0s".to_owned(),
        seconds => duration::show(Duration::from_secs(seconds)),
    }
}

/// `50.0%`.
pub fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{:.1}%", part as f64 * 100.0 / whole as f64),
    }
}

/// From a thousand, with one decimal below a hundred.
fn scaled(number: f64, units: &[&str]) -> String {
    let mut value = number / 1000.0;
    let mut index = 0;
    while value >= 999.95 && index + 1 < units.len() {
        value /= 1000.0;
        index += 1;
    }
    let unit = units[index];
    if value < 99.95 {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.0}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_size() {
        let counts = [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10.0k"),
            (1_234_567, "1.2M"),
            (999_960, "1.0M"),
        ];
        for (number, text) in counts {
            assert_eq!(count(number), text);
        }
        assert_eq!(count(u64::MAX), "18.4E");
        assert_eq!(bytes(999), "999B");
        assert_eq!(bytes(310_400_000), "310MB");
        assert_eq!(rate(0.25), "0.2");
        assert_eq!(rate(8100.0), "8.1k");
        assert_eq!(bit_rate(30_000_000.0), "240Mb/s");
    }

    #[test]
    fn a_counter_that_began_anew_has_no_negative_rate() {
        assert_eq!(per_second(10, 100, Duration::from_secs(2)), 5.0);
        assert_eq!(per_second(100, 50, Duration::from_secs(2)), 25.0);
    }

    #[test]
    fn times() {
        assert_eq!(since(120, 0), "2m");
        assert_eq!(since(0, 120), "0s");
        assert_eq!(share(1, 2), "50.0%");
        assert_eq!(share(0, 0), "-");
    }
}
