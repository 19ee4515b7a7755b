//! The client's side of an event stream, as far as a load generator needs it: one `data` line
//! per event, lines that end in LF.

use std::io;

use crate::report::Item;

const DATA: &[u8] = b"data: ";
/// How the events begin that are no publications of a hub.
const CONTROL: &[u8] = b"event: lithe.";

/// Takes a response body apart, however it is split, without copying payloads.
#[derive(Debug)]
pub struct Reader {
    chunks: Option<Chunks>,
    lines: Lines,
}

impl Reader {
    /// For a body with or without chunked transfer coding.
    pub fn new(chunked: bool) -> Self {
        Reader { chunks: chunked.then(Chunks::default), lines: Lines::default() }
    }

    /// Takes the next bytes.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut on_item: impl FnMut(Item<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let lines = &mut self.lines;
        match &mut self.chunks {
            Some(chunks) => chunks.feed(bytes, |data| lines.feed(data, &mut on_item)),
            None => lines.feed(bytes, &mut on_item),
        }
    }
}

/// Chunked transfer coding (RFC 9112 §7.1).
#[derive(Debug, Default)]
struct Chunks {
    state: Chunk,
    left: usize,
}

#[derive(Debug, Default)]
enum Chunk {
    #[default]
    Size,
    Data,
    /// The line end after the data.
    End,
}

impl Chunks {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on_data: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while let Some((&byte, rest)) = bytes.split_first() {
            match self.state {
                Chunk::Size => {
                    bytes = rest;
                    match (byte as char).to_digit(16) {
                        Some(digit) => self.left = self.left << 4 | digit as usize,
                        None if byte == b'\r' => {}
                        None if byte == b'\n' && self.left > 0 => self.state = Chunk::Data,
                        None if byte == b'\n' => return Err(io::ErrorKind::UnexpectedEof.into()),
                        None => return Err(io::Error::other("a bad chunk size")),
                    }
                }
                Chunk::Data => {
                    let (data, rest) = bytes.split_at(self.left.min(bytes.len()));
                    bytes = rest;
                    self.left -= data.len();
                    if self.left == 0 {
                        self.state = Chunk::End;
                    }
                    on_data(data)?;
                }
                Chunk::End => {
                    bytes = rest;
                    if byte == b'\n' {
                        self.state = Chunk::Size;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The lines of an event stream.
#[derive(Debug, Default)]
struct Lines {
    line: Line,
    /// Payload bytes of the current event; `None` before its `data` line.
    data: Option<usize>,
    /// The current event is no publication.
    control: bool,
}

#[derive(Debug, Default)]
enum Line {
    #[default]
    Start,
    /// Within the first bytes, of which so many agree with one of the two prefixes.
    Prefix(&'static [u8], usize),
    Data,
    Other,
}

impl Lines {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        on_item: &mut impl FnMut(Item<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.line {
                Line::Start if bytes[0] == b'\n' => {
                    bytes = &bytes[1..];
                    self.control = false;
                    if let Some(len) = self.data.take() {
                        on_item(Item::End { len })?;
                    }
                }
                Line::Start => {
                    self.line = match bytes[0] {
                        b'd' if !self.control => Line::Prefix(DATA, 0),
                        b'e' => Line::Prefix(CONTROL, 0),
                        _ => Line::Other,
                    };
                }
                Line::Prefix(prefix, have) => {
                    let here = (prefix.len() - have).min(bytes.len());
                    if bytes[..here] != prefix[have..have + here] {
                        self.line = Line::Other;
                        continue;
                    }
                    bytes = &bytes[here..];
                    self.line = Line::Prefix(prefix, have + here);
                    if have + here == prefix.len() {
                        self.end_prefix(prefix)?;
                    }
                }
                Line::Data | Line::Other => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (here, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    if let (Line::Data, Some(offset)) = (&self.line, &mut self.data) {
                        on_item(Item::Payload { offset: *offset, bytes: here })?;
                        *offset += here.len();
                    }
                    bytes = rest;
                    if end.is_some() {
                        bytes = &bytes[1..];
                        self.line = Line::Start;
                    }
                }
            }
        }
        Ok(())
    }

    fn end_prefix(&mut self, prefix: &[u8]) -> io::Result<()> {
        if prefix == CONTROL {
            self.control = true;
            self.line = Line::Other;
            return Ok(());
        }
        self.line = Line::Data;
        match self.data.replace(0) {
            None => Ok(()),
            Some(_) => Err(io::Error::other("an event of two data lines")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(reader: &mut Reader, stream: &[u8], piece: usize) -> Vec<String> {
        let (mut seen, mut data) = (Vec::new(), Vec::new());
        for piece in stream.chunks(piece) {
            reader
                .feed(piece, |item| {
                    match item {
                        Item::Payload { offset, bytes } => {
                            assert_eq!(offset, data.len());
                            data.extend_from_slice(bytes);
                        }
                        Item::End { len } => {
                            assert_eq!(len, data.len());
                            seen.push(String::from_utf8(std::mem::take(&mut data)).unwrap());
                        }
                        Item::Ping(_) => unreachable!("there are none in an event stream"),
                    }
                    Ok(())
                })
                .unwrap();
        }
        seen
    }

    const STREAM: &str = "retry: 1000\n\nevent: lithe.sub\ndata: {}\n\ndata: one\n\n\
        id: 7\ndata: two words\n\nevent: lit\ndata: \n\n";
    const EVENTS: [&str; 3] = ["one", "two words", ""];

    #[test]
    fn events_are_found_however_the_stream_is_split() {
        for piece in [1, 2, 3, 5, 8, STREAM.len()] {
            let seen = events(&mut Reader::new(false), STREAM.as_bytes(), piece);
            assert_eq!(seen, EVENTS, "in pieces of {piece}");
        }
    }

    #[test]
    fn chunked_coding_is_undone_wherever_its_borders_are() {
        for chunk in [1, 4, 10, 26] {
            let mut body = Vec::new();
            for chunk in STREAM.as_bytes().chunks(chunk) {
                body.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            for piece in [1, 3, body.len()] {
                assert_eq!(events(&mut Reader::new(true), &body, piece), EVENTS);
            }
        }
    }

    #[test]
    fn the_last_chunk_ends_the_load() {
        assert!(Reader::new(true).feed(b"0\r\n\r\n", |_| Ok(())).is_err());
    }
}
