//! One table per phase: what is seen, and what is decided, in a word.
//!
//! **Invariant:** every row is a sentence; the exhaustive search (`tests/model`) covers how rows follow one another.

mod finished;
mod history;
mod hooks;
mod order;
mod pending;
mod preparing;
mod recovering;
mod restarting;
mod unready;
mod waiting_requests;
mod waits;
mod world;
