//! The XDP programs of `lb`.
//!
//! # Layout
//!
//! A packet's way through the balancer, a step a file:
//!
//! 1. [`parse`]: which packet is this, and is it whole
//! 2. [`service`]: whose is it
//! 3. [`select`]: flow hash, slot, backend; for `fullnat` the [`flow_table`] first
//! 4. [`rewrite`]: by the backend's mode; before that, what a SYN says of segments ([`mss`])
//! 5. [`send`]: back out, or through another interface
//!
//! [`vlan`] stands before and behind all of them: it takes tags off, and puts those of the next hop on.
//!
//! Each step is generic in the [`family`], IPv4 or IPv6. [`back`] is the way of a backend's packets to the client, where it leads through here. A step gives what the next one
//! needs, or an [`exit::Exit`]; no step looks back. [`packet`] is the one place where bounds are checked, [`maps`] where maps
//! are declared, [`exit`] where an outcome becomes an XDP code, [`count`] where it is counted, [`bucket`] what the hash tables
//! of [`service`] and [`flow_table`] are made of.
//!
//! Three more are programs of their own, which packets are [`handed`] to by a tail call: [`icmp`], what is about packets, and what somebody has to be
//! told about; [`fragments`], later fragments, which go where the first of their datagram went; [`across`], packets whose backend is of the other
//! family.
//!
//! `bin/balancer.rs` is all of that; `bin/stateless.rs` is the same without the flow table, for old kernels. Both declare the same
//! maps.
//!
//! The program `decap` is `unpack.rs` on top of [`packet`] and [`wire`]; it takes them in by path, because an object that links
//! this library carries all of the balancer's maps.
#![no_std]
#![feature(core_intrinsics, asm_experimental_arch)]
#![allow(internal_features)]

pub mod across;
pub mod atomic;
pub mod back;
pub mod bucket;
pub mod clock;
pub mod config;
pub mod count;
pub mod exit;
pub mod family;
pub mod flow_table;
pub mod forgotten;
pub mod fragments;
pub mod handed;
pub mod icmp;
pub mod maps;
pub mod mss;
pub mod packet;
pub mod parse;
pub mod ports;
pub mod rewrite;
pub mod select;
pub mod send;
pub mod service;
pub mod trace;
pub mod vlan;
pub mod wire;
