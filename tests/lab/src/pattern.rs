//! Content that is easy to make and hard to mistake: every byte follows from its place, and no part is like another.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The first `length` bytes of the pattern.
pub struct Pattern {
    at: u64,
    length: u64,
}

impl Pattern {
    pub fn new(length: u64) -> Self {
        Self { at: 0, length }
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        fill(self.at, &mut buffer[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

/// Writes what the pattern holds from byte `at` on.
pub fn fill(at: u64, buffer: &mut [u8]) {
    let mut word = at / 8;
    let skip = usize::try_from(at % 8).unwrap_or(0);
    let (head, rest) = buffer.split_at_mut(buffer.len().min((8 - skip) % 8));
    if !head.is_empty() {
        let bytes = word_at(word);
        head.copy_from_slice(&bytes[skip..skip + head.len()]);
        word += 1;
    }
    for chunk in rest.chunks_mut(8) {
        chunk.copy_from_slice(&word_at(word)[..chunk.len()]);
        word += 1;
    }
}

/// SplitMix64 of the word's number.
fn word_at(number: u64) -> [u8; 8] {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

/// Compares content with the pattern as it comes in.
#[derive(Default)]
pub struct Checker {
    at: u64,
    expected: Vec<u8>,
}

impl Checker {
    /// How much was right so far.
    pub fn received(&self) -> u64 {
        self.at
    }

    /// Takes in the next part; false when it is not what it should be.
    pub fn take(&mut self, part: &[u8]) -> bool {
        self.expected.resize(part.len(), 0);
        fill(self.at, &mut self.expected);
        let is_right = self.expected == part;
        if is_right {
            self.at += part.len() as u64;
        }
        is_right
    }
}

/// Holds a transfer to a rate.
pub struct Pace {
    bytes_per_s: Option<u64>,
    started: Instant,
    moved: u64,
}

impl Pace {
    /// From now on, at `bytes_per_s`, or without limit.
    pub fn new(bytes_per_s: Option<u64>) -> Self {
        let (started, moved) = (Instant::now(), 0);
        Self {
            bytes_per_s,
            started,
            moved,
        }
    }

    /// Waits until it is time for more after another `bytes`.
    pub fn wait_after(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        let Some(rate) = self.bytes_per_s else {
            return;
        };
        let due = Duration::from_secs_f64(self.moved as f64 / rate.max(1) as f64);
        std::thread::sleep(due.saturating_sub(self.started.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_pattern_is_the_pattern() {
        let mut whole = Vec::new();
        Pattern::new(1000).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), 1000);
        for at in 0..40 {
            for length in 0..40 {
                let mut part = vec![0; length];
                fill(at as u64, &mut part);
                assert_eq!(part, whole[at..at + length], "{length} bytes at {at}");
            }
        }
    }

    #[test]
    fn the_checker_sees_a_wrong_byte() {
        let mut whole = vec![0; 100];
        fill(0, &mut whole);
        let mut checker = Checker::default();
        assert!(checker.take(&whole[..33]));
        assert!(checker.take(&whole[33..60]));
        assert!(!checker.take(&whole[61..]));
        assert_eq!(checker.received(), 60);
    }
}
