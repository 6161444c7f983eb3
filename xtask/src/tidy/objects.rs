//! What the compiled BPF programs must not hold.
//!
//! The verifier refuses a program with a reachable panic, with a message that names no line. A panic that is left in the
//! object shows in its symbol table, so that it is found here, by name.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::Finding;

/// `EM_BPF` of the ELF header.
const MACHINE_BPF: u16 = 247;
const SECTION_SYMBOLS: u32 = 2;

/// Every symbol that names a panic, in every BPF object of `dir`.
pub fn panics(dir: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut objects = 0;
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let path = entry?.path();
        let Some(symbols) = std::fs::read(&path).ok().and_then(|elf| symbols(&elf)) else {
            continue;
        };
        objects += 1;
        let panics = symbols.iter().filter(|name| name.contains("panic"));
        let shown = path.display().to_string();
        findings.extend(panics.map(|name| {
            let message = format!("the object holds the symbol {name}: something in it can panic");
            Finding::new(&shown, 1, message)
        }));
    }
    ensure!(objects > 0, "{} holds no BPF objects", dir.display());
    Ok(findings)
}

/// The names in the symbol tables of a 64-bit little-endian BPF object; of anything else, nothing.
fn symbols(elf: &[u8]) -> Option<Vec<String>> {
    let is_elf64_little = elf.starts_with(b"\x7fELF\x02\x01");
    if !is_elf64_little || u16_at(elf, 18)? != MACHINE_BPF {
        return None;
    }
    let table = usize_at(elf, 40)?;
    let (entry_size, count) = (u16_at(elf, 58)?, u16_at(elf, 60)?);
    let header = |index: usize| table + index * usize::from(entry_size);
    let mut names = Vec::new();
    for section in (0..usize::from(count)).map(header) {
        if u32_at(elf, section + 4)? != SECTION_SYMBOLS {
            continue;
        }
        let (start, length) = (usize_at(elf, section + 24)?, usize_at(elf, section + 32)?);
        let strings = header(usize::try_from(u32_at(elf, section + 40)?).ok()?);
        let strings = elf.get(usize_at(elf, strings + 24)?..)?;
        for symbol in elf.get(start..start + length)?.chunks_exact(24) {
            let name = strings.get(usize::try_from(u32_at(symbol, 0)?).ok()?..)?;
            let name = name.split(|byte| *byte == 0).next()?;
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    Some(names)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes_at(bytes, at)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BPF object with one symbol table: two section headers, two symbols, and their names.
    fn object(machine: u16) -> Vec<u8> {
        let strings = b"\0balancer\0core::panicking::panic_fmt\0";
        let (symbols_at, strings_at) = (64 + 2 * 64, 64 + 2 * 64 + 2 * 24);
        let mut elf = vec![0; strings_at];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        elf[40] = 64;
        elf[58] = 64;
        elf[60] = 2;
        let symbols = 64;
        elf[symbols + 4] = 2;
        elf[symbols + 24] = u8::try_from(symbols_at).unwrap();
        elf[symbols + 32] = 48;
        elf[symbols + 40] = 1;
        let names = 128;
        elf[names + 4] = 3;
        elf[names + 24] = u8::try_from(strings_at).unwrap();
        elf[symbols_at] = 1;
        elf[symbols_at + 24] = 10;
        elf.extend_from_slice(strings);
        elf
    }

    #[test]
    fn names_of_symbols() {
        let names = symbols(&object(MACHINE_BPF)).unwrap();
        assert_eq!(names, ["balancer", "core::panicking::panic_fmt"]);
    }

    #[test]
    fn what_is_no_bpf_object_is_left_alone() {
        assert!(symbols(&object(62)).is_none());
        assert!(symbols(b"\x7fELF").is_none());
        assert!(symbols(b"").is_none());
        let mut cut = object(MACHINE_BPF);
        cut.truncate(100);
        assert!(symbols(&cut).is_none());
    }
}
