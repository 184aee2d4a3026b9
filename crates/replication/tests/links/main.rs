//! Links between Regions over real sockets: delivery, resumption, forgery, partitions, bounds, questions.

mod identities;
mod impostor;
mod regions;
mod relay;

mod delivery;
mod forgery;
mod handshake;
mod questions;
mod real_groups;
