//! Where something is found in a trace.

/// The span of a trace: its identifiers, of which zero is none, as W3C Trace Context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TraceLink {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
}

/// Whether the trace that a request begins, or goes on with, is sampled. The HTTP layer decides it
/// before there is a span, and leaves it in the OpenTelemetry context for the tracing layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) sampled: bool,
}

impl TraceLink {
    /// Whether it names a trace.
    pub(crate) fn is_one(&self) -> bool {
        self.trace_id != [0; 16]
    }

    /// The trace in 32 hexadecimal digits, if there is one.
    pub(crate) fn trace_text(&self) -> Option<String> {
        text(&self.trace_id)
    }

    /// The span in 16 hexadecimal digits, if there is one.
    pub(crate) fn span_text(&self) -> Option<String> {
        text(&self.span_id)
    }
}

fn text(id: &[u8]) -> Option<String> {
    let is_one = id.iter().any(|byte| *byte != 0);
    is_one.then(|| id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The identifier that `text` spells in hexadecimal digits, if it is as long and not zero.
pub(crate) fn read<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * BYTES {
        return None;
    }
    let mut id = [0; BYTES];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    id.iter().any(|byte| *byte != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_as_they_are_written() {
        let link = TraceLink {
            trace_id: *b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c",
            span_id: *b"\xb7\xad\x6b\x71\x69\x20\x33\x31",
        };
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(link.trace_text().as_deref(), Some(trace));
        assert_eq!(link.span_text().as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(read(trace), Some(link.trace_id));
        assert_eq!(read("B7AD6B7169203331"), Some(link.span_id));
        for wrong in [
            "",
            "b7ad6b716920333",
            "b7ad6b716920333g",
            "+7ad6b7169203331",
        ] {
            assert_eq!(read::<8>(wrong), None, "{wrong}");
        }
        assert_eq!(read::<8>("0000000000000000"), None, "zero is none");
        assert_eq!(TraceLink::default().trace_text(), None);
    }
}
