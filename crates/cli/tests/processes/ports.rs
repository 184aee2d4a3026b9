//! Ports that nobody listens on.
//!
//! Taken below the range from which the system serves outgoing connections: a port from there could be gone again by the
//! time a process listens on it, or while the process is being restarted.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first of `count` ports in a row that are free on every address of this machine.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let end = outgoing_ports_begin();
    let span = end - FIRST;
    // Test processes that run side by side begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(span / 16)).expect("less than a port") * 16;
    for _ in 0..span / STRIDE {
        let offset = start.wrapping_add(NEXT.fetch_add(STRIDE, Ordering::Relaxed)) % (span - STRIDE);
        let first = FIRST + offset;
        let bound: Vec<_> =
            (first..first + count).map_while(|port| TcpListener::bind(("0.0.0.0", port)).ok()).collect();
        if bound.len() == usize::from(count) {
            return first;
        }
    }
    panic!("no {count} free ports in a row from {FIRST} to {end}");
}

fn outgoing_ports_begin() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let begin = range.split_whitespace().next().and_then(|begin| begin.parse().ok());
    begin.filter(|begin| *begin > FIRST + 2_000).unwrap_or(32_768)
}

const FIRST: u16 = 10_240;
/// No test asks for more ports at once.
const STRIDE: u16 = 16;
