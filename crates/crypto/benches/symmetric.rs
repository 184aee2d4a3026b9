//! Speed of the symmetric path.

fn main() {}
