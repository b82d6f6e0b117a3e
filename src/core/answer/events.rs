//! The lines of server-sent events, of which only the data is read on.
//!
//! As the HTML standard has it: a line ends with CR, LF or both; an empty line ends an event; of
//! `data:` one space is left out, and several of these lines are one text with line ends between.

use super::{Found, document::Document};

const FIELD: &[u8] = b"data:";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So much of [`BYTE_ORDER_MARK`] is there.
    Mark(u8),
    /// So much of [`FIELD`] is there.
    Field(u8),
    /// The text follows, after a space.
    Space,
    Text,
    /// Another field, or a comment.
    Skipped,
}

/// Where the reading stands.
#[derive(Debug)]
pub(super) struct EventLines {
    line: Line,
    /// The last line ended with CR, to which LF belongs.
    after_cr: bool,
}

impl EventLines {
    pub(super) const fn new() -> Self {
        Self {
            line: Line::Mark(0),
            after_cr: false,
        }
    }

    pub(super) fn read(&mut self, mut bytes: &[u8], document: &mut Document, found: &mut Found) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                bytes = rest;
                continue;
            }
            if let Line::Text | Line::Skipped = self.line {
                let end = bytes.iter().position(|b| matches!(b, b'\n' | b'\r'));
                let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                if self.line == Line::Text {
                    document.read(text, found);
                }
                bytes = rest;
                if let Some((&end, rest)) = bytes.split_first() {
                    if self.line == Line::Text {
                        document.read(b"\n", found);
                    }
                    self.after_cr = end == b'\r';
                    self.line = Line::Field(0);
                    bytes = rest;
                }
                continue;
            }
            bytes = self.begin(byte, bytes, rest, document);
        }
    }

    /// The beginning of a line: returns what is left to read.
    fn begin<'b>(
        &mut self,
        byte: u8,
        all: &'b [u8],
        rest: &'b [u8],
        document: &mut Document,
    ) -> &'b [u8] {
        match self.line {
            Line::Mark(at) if BYTE_ORDER_MARK.get(usize::from(at)) == Some(&byte) => {
                self.line = Line::Mark(at + 1);
                return rest;
            }
            Line::Mark(_) => {
                self.line = Line::Field(0);
                return all;
            }
            Line::Space => {
                self.line = Line::Text;
                return if byte == b' ' { rest } else { all };
            }
            _ => {}
        }
        let Line::Field(at) = self.line else {
            return rest;
        };
        if matches!(byte, b'\n' | b'\r') {
            self.after_cr = byte == b'\r';
            self.line = Line::Field(0);
            if at == 0 {
                document.reset();
            }
            return rest;
        }
        self.line = match FIELD.get(usize::from(at)) == Some(&byte) {
            true if usize::from(at) + 1 == FIELD.len() => Line::Space,
            true => Line::Field(at + 1),
            false => Line::Skipped,
        };
        rest
    }
}
