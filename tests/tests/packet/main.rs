//! Packet tests: the very programs on packets that the tests make, by `BPF_PROG_TEST_RUN`. In one binary, as most of a test's time
//! is the kernel's verifying of the program, and one loaded program serves many tests.

mod across;
mod adopt;
mod decap;
mod differential;
mod failover;
mod families;
mod flow_table;
mod fragments;
mod icmp;
mod loaded;
mod modes;
mod objects;
mod random;
mod ranges;
mod reasons;
mod replay;
mod roles;
mod shares;
mod vlan;
