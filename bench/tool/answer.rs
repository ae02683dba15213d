//! Where an answer ends, and whether it is the app's.

use std::io::{Error, ErrorKind, Result};

/// Bytes of the body that the app answers, unless it is told another number.
pub const BODY: usize = 100;

/// How many bytes the answer at the start of `bytes` will have whose body has `body`, if its head is whole.
pub fn length(bytes: &[u8], body: usize) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error.to_string()))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    if answer.code != Some(200) || length.is_none_or(|header| header.value != body.to_string().as_bytes()) {
        let shown = String::from_utf8_lossy(&bytes[..head]).into_owned();
        return Err(Error::new(ErrorKind::InvalidData, format!("not the app's answer: {shown}")));
    }
    Ok(Some(head + body))
}
