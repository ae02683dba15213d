//! The sample.
fn main() {}
