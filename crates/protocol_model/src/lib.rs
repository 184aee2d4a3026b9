//! A specification of the protocol between Regions: replicas, staged rotation, changes of the primary and forced failover
//! of one multi-Region set, small enough to be checked in every order of events.
//!
//! It is written down apart from the state machine, without ids, sealed bytes or time, and says what each command and each
//! message may do. The functions of the state machine name the actions of this model that they carry out. What is left out:
//! Raft (a Region is one thing that never forgets), deletion, and independent properties, which no other Region reads.
//!
//! A link is a queue that loses, doubles and swaps nothing, because numbers of messages and cursors see to that; it may be
//! held up for as long as anybody likes, which is how a Region is lost, crashed or cut off here.
//!
//! Forced failover ([`Event::Promote`]) is specified and not offered yet.

pub mod protocol;
pub mod set;

pub use protocol::{Bounds, Cluster, Event, Protocol};
