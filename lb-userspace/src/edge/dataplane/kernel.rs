//! What the kernel can do, found out by trying: a distribution's kernel may have more than its version says.

use super::syscall::{Command, bpf};
use crate::core::capabilities::Capabilities;

/// Tries what not every supported kernel can do. Takes one system call where it can; nothing is left behind.
pub fn capabilities() -> Capabilities {
    let release = rustix::system::uname();
    Capabilities {
        kernel: release.release().to_string_lossy().into_owned(),
        // Where not even an addition is accepted, it is not for the exchange: then loading the balancer says what it is.
        flow_table: accepts(Atomic::CompareExchange) || !accepts(Atomic::Add),
    }
}

/// An atomic operation by its immediate in the instruction.
#[derive(Clone, Copy)]
enum Atomic {
    /// As old as BPF.
    Add = 0x00,
    /// With `BPF_FETCH`, which is part of it.
    CompareExchange = 0xf1,
}

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the lower four bits, source in the upper.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Loads a program whose one purpose is that operation on a word of its stack.
fn accepts(operation: Atomic) -> bool {
    const MOV64_IMMEDIATE: u8 = 0xb7;
    const STORE64: u8 = 0x7b;
    const ATOMIC64: u8 = 0xdb;
    const EXIT: u8 = 0x95;
    /// Destination r10, the frame pointer.
    const STACK: u8 = 10;
    const R1: u8 = 1;
    let instruction = |code, registers, offset, immediate| Instruction {
        code,
        registers,
        offset,
        immediate,
    };
    let program = [
        instruction(MOV64_IMMEDIATE, 0, 0, 0),
        instruction(MOV64_IMMEDIATE, R1, 0, 0),
        instruction(STORE64, STACK | R1 << 4, -8, 0),
        instruction(ATOMIC64, STACK | R1 << 4, -8, operation as i32),
        instruction(MOV64_IMMEDIATE, 0, 0, 0),
        instruction(EXIT, 0, 0, 0),
    ];
    load(&program)
}

/// The attributes of `BPF_PROG_LOAD`, as far as they are needed.
#[repr(C)]
struct Attributes {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// Whether the kernel takes a program of the balancer's type; what it makes of it is dropped.
fn load(program: &[Instruction]) -> bool {
    const BPF_PROG_TYPE_XDP: u32 = 6;
    let attributes = Attributes {
        program_type: BPF_PROG_TYPE_XDP,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the attributes of this command; the instructions and the text that they point to outlive the call.
    unsafe { bpf(Command::ProgramLoad, &attributes) }.is_ok()
}

const _: () = assert!(size_of::<Instruction>() == 8 && size_of::<Attributes>() == 48);
