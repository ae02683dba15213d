//! `kubectl restart`.
