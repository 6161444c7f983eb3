//! What the compiled BPF programs must not hold.
//!
//! The verifier refuses a program with a reachable panic, with a message that names no line. A panic that is left in the
//! object shows in its symbol table, so that it is found here, by name.
//!
//! A call of `memset` and the like costs a frame of stack of its own, of which kernels before 6.13 give a program and what it calls 512 bytes
//! together: it loads here, and not there.
//!
//! Kernels before 5.12 refuse atomic operations other than a plain addition, reachable or not. The kernel that this is built on
//! may take them, so that what is for those kernels is looked at here, too.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::Finding;

/// `EM_BPF` of the ELF header.
const MACHINE_BPF: u16 = 247;
const SECTION_SYMBOLS: u32 = 2;
const SECTION_RELOCATIONS: u32 = 9;
/// `SHF_EXECINSTR` of a section's flags.
const EXECUTABLE: usize = 4;
/// Objects that kernels before 5.12 have to take.
const FOR_OLD_KERNELS: &[&str] = &["stateless", "decap", "pass"];

/// Objects whose programs run on other kernels than this one.
const SHIPPED: &[&str] = &["balancer", "stateless", "decap", "pass"];
/// What the compiler makes of copies and constants that are too long for it.
const CALLS: &[&str] = &["memset", "memcpy", "memmove"];

/// A section of an object.
struct Section<'a> {
    kind: u32,
    flags: usize,
    bytes: &'a [u8],
    /// Index of the section with the names of the symbols in this one.
    strings: usize,
}

/// Whatever an object in `dir` must not hold.
pub fn look(dir: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut looked_at = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let path = entry?.path();
        let Some(elf) = std::fs::read(&path).ok() else { continue };
        let Some(sections) = sections(&elf) else { continue };
        findings.extend(wrong(&path, &sections));
        looked_at.push(path);
    }
    ensure!(!looked_at.is_empty(), "{} holds no BPF objects", dir.display());
    for name in FOR_OLD_KERNELS {
        let is_there = looked_at.iter().any(|path: &PathBuf| path.ends_with(name));
        ensure!(is_there, "{} holds no object {name}", dir.display());
    }
    Ok(findings)
}

fn wrong(path: &Path, sections: &[Section]) -> Vec<Finding> {
    let shown = path.display().to_string();
    let mut messages = Vec::new();
    for name in symbols(sections).iter().filter(|name| name.contains("panic")) {
        messages.push(format!("the object holds the symbol {name}: something in it can panic"));
    }
    let calls = calls(sections);
    if !calls.is_empty() && SHIPPED.iter().any(|name| path.ends_with(name)) {
        messages.push(format!(
            "the object calls {}: copy word by word instead",
            calls.join(", ")
        ));
    }
    let atomics: usize = sections.iter().map(new_atomics).sum();
    if atomics > 0 && FOR_OLD_KERNELS.iter().any(|name| path.ends_with(name)) {
        messages.push(format!(
            "the object holds {atomics} atomic operations that kernels before 5.12 refuse"
        ));
    }
    let finding = |message| Finding::new(&shown, 1, message);
    messages.into_iter().map(finding).collect()
}

/// The sections of a 64-bit little-endian BPF object; of anything else, nothing.
fn sections(elf: &[u8]) -> Option<Vec<Section<'_>>> {
    let is_elf64_little = elf.starts_with(b"\x7fELF\x02\x01");
    if !is_elf64_little || u16_at(elf, 18)? != MACHINE_BPF {
        return None;
    }
    let table = usize_at(elf, 40)?;
    let (entry_size, count) = (u16_at(elf, 58)?, u16_at(elf, 60)?);
    let section = |index: u16| {
        let header = table + usize::from(index) * usize::from(entry_size);
        let kind = u32_at(elf, header + 4)?;
        let (start, length) = (usize_at(elf, header + 24)?, usize_at(elf, header + 32)?);
        /// What takes no room in the file, such as `.bss`.
        const WITHOUT_BYTES: u32 = 8;
        let bytes = match kind {
            WITHOUT_BYTES => &[],
            _ => elf.get(start..start.checked_add(length)?)?,
        };
        Some(Section {
            kind,
            flags: usize_at(elf, header + 8)?,
            bytes,
            strings: usize::try_from(u32_at(elf, header + 40)?).ok()?,
        })
    };
    (0..count).map(section).collect()
}

/// The names in the symbol tables.
fn symbols(sections: &[Section]) -> Vec<String> {
    let tables = sections.iter().filter(|section| section.kind == SECTION_SYMBOLS);
    tables.flat_map(|table| names(table, sections)).collect()
}

/// The names in one symbol table, by their numbers.
fn names(table: &Section, sections: &[Section]) -> Vec<String> {
    let strings = sections.get(table.strings).map_or(&[][..], |strings| strings.bytes);
    let name = |symbol: &[u8]| {
        let at = u32_at(symbol, 0).and_then(|at| usize::try_from(at).ok());
        let name = at.and_then(|at| strings.get(at..));
        let name = name.and_then(|rest| rest.split(|byte| *byte == 0).next());
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    };
    table.bytes.chunks_exact(24).map(name).collect()
}

/// Those of [`CALLS`] that there are.
fn calls(sections: &[Section]) -> Vec<&'static str> {
    let mut calls = std::collections::BTreeSet::new();
    for table in sections.iter().filter(|section| section.kind == SECTION_RELOCATIONS) {
        let Some(names) = sections.get(table.strings).map(|table| names(table, sections)) else {
            continue;
        };
        for relocation in table.bytes.chunks_exact(16) {
            let number = u32_at(relocation, 12).and_then(|number| usize::try_from(number).ok());
            let name = number.and_then(|number| names.get(number));
            calls.extend(CALLS.iter().filter(|call| name.is_some_and(|name| name == *call)));
        }
    }
    calls.into_iter().collect()
}

/// How many instructions are atomic operations other than a plain addition.
fn new_atomics(section: &Section) -> usize {
    /// Class and mode of an instruction's code, without its size: `BPF_STX | BPF_ATOMIC`.
    const ATOMIC: u8 = 0xc3;
    if section.flags & EXECUTABLE == 0 {
        return 0;
    }
    // The second half of a 64-bit constant has the code 0.
    let is_new = |instruction: &&[u8]| instruction[0] & 0xe7 == ATOMIC && instruction[4..8] != [0; 4];
    section.bytes.chunks_exact(8).filter(is_new).count()
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
        elf[names + 32] = u8::try_from(strings.len()).unwrap();
        elf[symbols_at] = 1;
        elf[symbols_at + 24] = 10;
        elf.extend_from_slice(strings);
        elf
    }

    #[test]
    fn names_of_symbols() {
        let object = object(MACHINE_BPF);
        let names = symbols(&sections(&object).unwrap());
        assert_eq!(names, ["balancer", "core::panicking::panic_fmt"]);
    }

    #[test]
    fn calls_that_take_a_frame_of_stack() {
        fn section(kind: u32, bytes: &[u8], strings: usize) -> Section<'_> {
            Section {
                kind,
                flags: 0,
                bytes,
                strings,
            }
        }
        let mut symbols = [0; 72];
        (symbols[24], symbols[48]) = (1, 8);
        for (symbol, found) in [(1, 1), (2, 0)] {
            let relocation = [[0; 12].as_slice(), &[symbol, 0, 0, 0]].concat();
            let sections = [
                section(SECTION_RELOCATIONS, &relocation, 1),
                section(SECTION_SYMBOLS, &symbols, 2),
                section(3, b"\0memset\0other\0", 0),
            ];
            assert_eq!(wrong(Path::new("out/balancer"), &sections).len(), found, "{symbol}");
            assert!(wrong(Path::new("out/bench_feed"), &sections).is_empty());
        }
    }

    #[test]
    fn what_is_no_bpf_object_is_left_alone() {
        assert!(sections(&object(62)).is_none());
        assert!(sections(b"\x7fELF").is_none());
        assert!(sections(b"").is_none());
        let mut cut = object(MACHINE_BPF);
        cut.truncate(100);
        assert!(sections(&cut).is_none());
    }

    #[test]
    fn atomic_operations_but_for_a_plain_addition() {
        let section = |flags, bytes| Section {
            kind: 1,
            flags,
            bytes,
            strings: 0,
        };
        // 64-bit compare-exchange, 32-bit exchange, 64-bit plain addition, and a 64-bit constant that looks like one of them.
        let code = [
            [0xdb, 0x1a, 0xf8, 0xff, 0xf1, 0, 0, 0],
            [0xc3, 0x1a, 0xf8, 0xff, 0xe1, 0, 0, 0],
            [0xdb, 0x1a, 0xf8, 0xff, 0, 0, 0, 0],
            [0x18, 0x01, 0, 0, 0xdb, 0xdb, 0xdb, 0xdb],
            [0, 0, 0, 0, 0xdb, 0xdb, 0xdb, 0xdb],
        ]
        .concat();
        assert_eq!(new_atomics(&section(EXECUTABLE, &code)), 2);
        assert_eq!(new_atomics(&section(0, &code)), 0);
    }

    #[test]
    fn what_old_kernels_refuse_is_found_in_what_is_for_them() {
        let code = [0xdb, 0x1a, 0xf8, 0xff, 0xf1, 0, 0, 0];
        let sections = [Section {
            kind: 1,
            flags: EXECUTABLE,
            bytes: &code,
            strings: 0,
        }];
        assert_eq!(wrong(Path::new("out/stateless"), &sections).len(), 1);
        assert!(wrong(Path::new("out/balancer"), &sections).is_empty());
    }
}
