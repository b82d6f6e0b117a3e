//! One JSON document after another, in pieces cut anywhere: only as much of the grammar as tells
//! at which path a value stands. What is not JSON is not refused, and does no harm.

use super::{
    Found,
    keys::{Event, Key, container_begins, number, string, string_begins},
};

/// Of a longer path nothing is looked for.
const MAX_PATH: usize = 8;
/// What is nested deeper is not read on.
const MAX_DEPTH: u8 = 128;
/// Of a string the beginning is kept: no key or word that matters is longer.
const MAX_TEXT: usize = 48;

#[derive(Debug)]
pub(super) struct Document {
    /// Objects and arrays that are open.
    depth: u8,
    /// Which of them are arrays: the innermost is the lowest bit.
    arrays: u128,
    path: [Key; MAX_PATH],
    state: State,
    /// In an object, where a key may come.
    at_key: bool,
    /// The text of a string, a number or a word, as far as it is kept.
    text: [u8; MAX_TEXT],
    len: usize,
    /// The text does not say all: it is longer, or has an escape.
    partial: bool,
    event: Event,
    closed: bool,
    /// Nested too deep, or closed what was not open.
    lost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    String,
    /// After a backslash in a string.
    Escape,
    /// A number, or a word such as `null`.
    Word,
}

impl Document {
    pub(super) const fn new() -> Self {
        Self {
            depth: 0,
            arrays: 0,
            path: [Key::Unknown; MAX_PATH],
            state: State::Between,
            at_key: false,
            text: [0; MAX_TEXT],
            len: 0,
            partial: false,
            event: Event::NONE,
            closed: false,
            lost: false,
        }
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Whether a whole document has been read.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn read(&mut self, mut bytes: &[u8], found: &mut Found) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.lost {
                return;
            }
            bytes = match self.state {
                State::String => self.in_string(bytes, found),
                State::Escape => {
                    self.state = State::String;
                    rest
                }
                State::Word if matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.') =>
                {
                    self.keep(&[byte]);
                    rest
                }
                State::Word => {
                    self.state = State::Between;
                    self.word_ends(found);
                    bytes
                }
                State::Between => {
                    self.between(byte, found);
                    rest
                }
            };
        }
    }

    fn between(&mut self, byte: u8, found: &mut Found) {
        match byte {
            b'"' => {
                self.state = State::String;
                self.clear();
            }
            b'{' | b'[' => self.open(byte == b'[', found),
            b'}' | b']' => self.close(byte == b']'),
            b',' => self.at_key = self.depth > 0 && !self.in_array(),
            b':' => self.at_key = false,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                self.state = State::Word;
                self.clear();
                self.keep(&[byte]);
            }
        }
    }

    /// Reads on in a string, to its end or that of `bytes`; what is left.
    fn in_string<'b>(&mut self, bytes: &'b [u8], found: &mut Found) -> &'b [u8] {
        let end = bytes.iter().position(|b| matches!(b, b'"' | b'\\'));
        let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        let begins = self.len == 0 && !self.partial;
        if !text.is_empty() {
            self.keep(text);
        }
        let escaped = rest.first() == Some(&b'\\');
        if escaped {
            self.partial = true;
            self.state = State::Escape;
        }
        if begins && !self.at_key && (self.len > 0 || escaped) {
            let (path, event) = (path(&self.path, self.depth), &mut self.event);
            string_begins(path, event, found);
        }
        let Some((&end, rest)) = rest.split_first() else {
            return rest;
        };
        if end == b'"' {
            self.state = State::Between;
            self.string_ends(found);
        }
        rest
    }

    fn string_ends(&mut self, found: &mut Found) {
        let text = (!self.partial).then(|| self.text.get(..self.len).unwrap_or_default());
        if !self.at_key {
            let path = path(&self.path, self.depth);
            return string(path, text, &mut self.event, found);
        }
        let key = text.map_or(Key::Unknown, Key::of);
        self.set_key(key);
    }

    fn word_ends(&mut self, found: &mut Found) {
        let text = self.text.get(..self.len).unwrap_or_default();
        // What ends a stream is no JSON.
        if text == b"DONE" && self.depth == 1 && self.in_array() {
            found.complete = true;
        }
        let digits = !self.partial && text.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(text).unwrap_or_default();
        if let (true, Ok(value)) = (digits, text.parse()) {
            number(path(&self.path, self.depth), value, found);
        }
    }

    fn open(&mut self, array: bool, found: &mut Found) {
        if self.depth >= MAX_DEPTH {
            self.lost = true;
            return;
        }
        if self.depth == 0 {
            // Another document.
            self.event = Event::NONE;
        }
        container_begins(path(&self.path, self.depth), found);
        self.depth += 1;
        self.arrays = self.arrays << 1 | u128::from(array);
        self.at_key = !array;
        self.set_key(if array { Key::Item } else { Key::Unknown });
    }

    fn close(&mut self, array: bool) {
        if self.depth == 0 || self.in_array() != array {
            self.lost = true;
            return;
        }
        self.depth -= 1;
        self.arrays >>= 1;
        self.at_key = false;
        self.closed |= self.depth == 0;
    }

    const fn in_array(&self) -> bool {
        self.arrays & 1 == 1
    }

    /// The last step of the path.
    fn set_key(&mut self, key: Key) {
        let last = usize::from(self.depth).checked_sub(1);
        if let Some(last) = last.and_then(|last| self.path.get_mut(last)) {
            *last = key;
        }
    }

    const fn clear(&mut self) {
        self.len = 0;
        self.partial = false;
    }

    fn keep(&mut self, more: &[u8]) {
        let free = self.text.get_mut(self.len..).unwrap_or_default();
        let kept = more.len().min(free.len());
        self.partial |= kept < more.len();
        if let (Some(free), Some(more)) = (free.get_mut(..kept), more.get(..kept)) {
            free.copy_from_slice(more);
            self.len += kept;
        }
    }
}

/// The way to a value so deep; an empty one where it is too long.
fn path(path: &[Key; MAX_PATH], depth: u8) -> &[Key] {
    path.get(..usize::from(depth)).unwrap_or_default()
}
