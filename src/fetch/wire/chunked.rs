//! A body that comes in chunks.

use super::WireError;

/// The longest line with a chunk's size, or of a trailer.
const LONGEST_LINE: usize = 1024;
/// The most lines after the last chunk.
const TRAILERS: u32 = 100;

/// Takes the bytes of a body out of its chunks.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    line: Vec<u8>,
    trailers: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the line before a chunk.
    Size,
    /// In a chunk; bytes that are left of it.
    Data(u64),
    /// In the line end after a chunk.
    After,
    /// In the lines after the last chunk.
    Trailer,
    Done,
}

impl Chunked {
    pub fn new() -> Chunked {
        Chunked {
            state: State::Size,
            line: Vec::new(),
            trailers: 0,
        }
    }

    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads from `bytes`: how many of them were taken, and which of these are of the body, at
    /// the end of those taken. To be called again with the rest.
    pub fn next(&mut self, bytes: &[u8]) -> Result<(usize, usize), WireError> {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Data(left) => {
                    let room = (bytes.len() - at) as u64;
                    let take = left.min(room);
                    self.state = match left - take {
                        0 => State::After,
                        left => State::Data(left),
                    };
                    let take = take as usize;
                    return Ok((at + take, take));
                }
                State::Done => return Ok((at, 0)),
                State::Size | State::After | State::Trailer => {
                    let byte = bytes[at];
                    at += 1;
                    if byte == b'\n' {
                        self.line_ended()?;
                    } else if self.line.len() < LONGEST_LINE {
                        self.line.push(byte);
                    } else {
                        return Err(wrong());
                    }
                }
            }
        }
        Ok((at, 0))
    }

    fn line_ended(&mut self) -> Result<(), WireError> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").ok_or_else(wrong)?;
        self.state = match self.state {
            State::Size => {
                let size = line.split(|b| *b == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(size).map_err(|_| wrong())?.trim_end();
                if size.is_empty() || !size.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(wrong());
                }
                match u64::from_str_radix(size, 16).map_err(|_| wrong())? {
                    0 => State::Trailer,
                    size => State::Data(size),
                }
            }
            State::After if line.is_empty() => State::Size,
            State::Trailer if line.is_empty() => State::Done,
            State::Trailer if self.trailers < TRAILERS => {
                self.trailers += 1;
                State::Trailer
            }
            _ => return Err(wrong()),
        };
        Ok(())
    }
}

fn wrong() -> WireError {
    WireError::Answer("its chunks are none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &[u8], step: usize) -> Result<(Vec<u8>, bool), WireError> {
        let (mut chunked, mut body) = (Chunked::new(), Vec::new());
        for mut piece in text.chunks(step) {
            while !piece.is_empty() && !chunked.done() {
                let (taken, data) = chunked.next(piece)?;
                body.extend_from_slice(&piece[taken - data..taken]);
                piece = &piece[taken..];
            }
        }
        Ok((body, chunked.done()))
    }

    #[test]
    fn chunks_in_any_pieces_are_the_body() {
        let text = b"5\r\nhello\r\nA;x=y\r\n, world ab\r\n0\r\nx-sum: 1\r\n\r\n";
        for step in 1..text.len() + 1 {
            let (body, done) = decode(text, step).unwrap();
            assert_eq!((body.as_slice(), done), (&b"hello, world ab"[..], true));
        }
        for end in 0..text.len() {
            assert!(!decode(&text[..end], 7).unwrap().1);
        }
    }

    #[test]
    fn what_are_no_chunks_is_an_error() {
        let long = [b"1".repeat(LONGEST_LINE + 1), b"\r\n".to_vec()].concat();
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(TRAILERS as usize + 1));
        for text in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"fffffffffffffffff\r\n",
            b"1\r\nab\r\n",
            b"5\nhello",
            &long,
            trailers.as_bytes(),
        ] {
            assert!(
                decode(text, 3).is_err(),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }
}
