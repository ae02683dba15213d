//! `kubectl restart`.
fn main() {}
