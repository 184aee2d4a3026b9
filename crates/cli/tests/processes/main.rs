//! The `meridian` binary as its users meet it: real processes, real signals, real files, real sockets.
//!
//! Nothing in here reaches into a process; whatever a test knows it read from an answer, a log line, an exit code or a
//! file. Damage is done to files of stopped processes, or to disks that the test itself made.

#![allow(unreachable_pub)] // the modules of one test program

mod bad_input;
mod client;
mod cluster;
mod configuration;
mod damage;
mod dev;
mod disk;
mod kill;
mod node;
mod ports;
mod process;
