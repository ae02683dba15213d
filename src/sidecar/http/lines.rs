//! The lines of a head that is whole and well-formed, for those that edit it.
//!
//! **Invariant:** the lines together are the head, byte for byte.

/// Each line with its end; the first is that of the request or the status, the last is empty.
pub fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|byte| *byte == b'\n')
}

/// The name of a header field and what follows its colon, the end of the line included; none: the line has no colon.
#[must_use]
pub fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}
