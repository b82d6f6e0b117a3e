//! JSON in which nothing hides: what cannot be shown, or reorders what is shown, is escaped.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::core::labels::is_unprintable;

/// Compact, with `\u` escapes also for what JSON would allow as it is.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for part in fragment.split_inclusive(is_unprintable) {
            let last = part.chars().next_back().filter(|c| is_unprintable(*c));
            let shown = part.len().saturating_sub(last.map_or(0, char::len_utf8));
            writer.write_all(part.get(..shown).unwrap_or_default().as_bytes())?;
            for unit in last
                .iter()
                .flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec())
            {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// Appends `value` as JSON.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(to, Escaping);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_escaped_and_comes_back() {
        let odd = "a\u{202e}b\u{7f}\"\n\\\u{feff}é\u{1f600}";
        let mut text = Vec::new();
        json(odd, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "\"a\\u202eb\\u007f\\\"\\n\\\\\\ufeffé\u{1f600}\"");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), odd);
    }
}
