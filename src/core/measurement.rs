//! What the request thread hands on: one finished operation, attempt or piece of component work,
//! or one thing that happened, as plain numbers of a fixed size.

use super::{labels::Label, money::NanoUsd, trace_link::TraceLink};
use crate::{clock::Timestamp, event_type::PerformanceEventType};
use std::time::Duration;

/// What a measurement counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// What the gateway's client asked for.
    Operation,
    /// One call to one provider and model.
    Attempt,
    /// Work inside the gateway.
    Component,
    /// One try of a variant of an experiment.
    Experiment,
    /// Something that happened at a moment, such as a cache hit.
    Signal,
    /// What somebody observed with a timer: its name is the `component`, in the table of timers.
    Timer,
}

/// An amount that may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(u64);

impl Amount {
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// `None` stays absent; the largest number there is counts as one less.
    pub(crate) const fn new(amount: u64) -> Self {
        Self(if amount == u64::MAX {
            amount - 1
        } else {
            amount
        })
    }

    pub(crate) const fn get(self) -> Option<u64> {
        if self.0 == u64::MAX {
            None
        } else {
            Some(self.0)
        }
    }

    /// `self`, or `fallback` if absent.
    pub(crate) const fn or(self, fallback: Self) -> Self {
        if self.0 == u64::MAX { fallback } else { self }
    }
}

/// So many tokens or bytes, or none told of, in five bytes: there are many of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count([u8; 5]);

impl Count {
    pub(crate) const NONE: Self = Self([u8::MAX; 5]);

    /// The most that one measurement may tell of, some 10¹²: what is above is no such number, and
    /// a few of them would overflow the sum of all.
    pub(crate) const LARGEST: u64 = (1 << 40) - 2;

    /// What is above the largest counts as that.
    pub(crate) const fn new(count: u64) -> Self {
        let count = if count > Self::LARGEST {
            Self::LARGEST
        } else {
            count
        };
        let [.., a, b, c, d, e] = count.to_be_bytes();
        Self([a, b, c, d, e])
    }

    pub(crate) const fn get(self) -> Option<u64> {
        let [a, b, c, d, e] = self.0;
        let count = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        if count > Self::LARGEST {
            None
        } else {
            Some(count)
        }
    }

    /// `self`, or `fallback` if absent.
    pub(crate) const fn or(self, fallback: Self) -> Self {
        if self.get().is_none() { fallback } else { self }
    }
}

/// A request method of the set that the HTTP conventions know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Method(u8);

const METHODS: [&str; 11] = [
    "_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    "QUERY",
];

impl Method {
    /// The known method that `text` spells, whatever its case; else `_OTHER`.
    pub(crate) fn from_text(text: &str) -> Self {
        // Nearly all there is, first.
        match text {
            "GET" => return Self(1),
            "POST" => return Self(3),
            _ => {}
        }
        let known = METHODS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(text));
        Self(known.unwrap_or(0) as u8)
    }

    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    pub(crate) fn text(self) -> &'static str {
        METHODS
            .get(usize::from(self.0))
            .copied()
            .unwrap_or("_OTHER")
    }
}

/// One measurement. Labels that were not given are [`Label::NONE`], amounts
/// [`Amount::NONE`] or [`Count::NONE`].
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) kind: Kind,
    /// What it is called in the recent events.
    pub(crate) event: PerformanceEventType,
    pub(crate) method: Option<Method>,
    pub(crate) status: Option<u16>,
    pub(crate) ended: Timestamp,
    /// In nanoseconds.
    pub(crate) duration: u64,
    /// From the closed set; `None` is a success.
    pub(crate) error: Option<&'static str>,
    pub(crate) provider: Label,
    pub(crate) model: Label,
    /// `gen_ai.operation.name`.
    pub(crate) operation: Label,
    pub(crate) endpoint: Label,
    /// Of [`Kind::Experiment`], the experiment.
    pub(crate) component: Label,
    /// Of [`Kind::Experiment`], the variant.
    pub(crate) component_operation: Label,
    /// Where a failover went; where it came from is `provider`.
    pub(crate) failover_to: Label,
    pub(crate) reason: Label,
    pub(crate) cost: Amount,
    pub(crate) input_tokens: Count,
    pub(crate) output_tokens: Count,
    pub(crate) cache_read_tokens: Count,
    pub(crate) cache_write_tokens: Count,
    pub(crate) reasoning_tokens: Count,
    pub(crate) request_size: Count,
    pub(crate) response_size: Count,
    /// In nanoseconds.
    pub(crate) time_to_first_chunk: Amount,
    /// Of a streamed answer, how many chunks of output there were; 0 if none were counted.
    pub(crate) chunks: u32,
    /// Of [`Kind::Operation`].
    pub(crate) chain: Chain,
    /// What few carry.
    pub(crate) custom: Option<Box<Custom>>,
}

/// The attempts of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// How many there were.
    pub(crate) attempts: u8,
    /// Each failed, by a fault that is not the caller's.
    pub(crate) exhausted: bool,
    /// What the operation took without its attempts and waits, in nanoseconds, up to some 18
    /// minutes.
    pub(crate) overhead: Count,
}

impl Chain {
    /// No attempt, as far as is known.
    pub(crate) const NONE: Self = Self {
        attempts: 0,
        exhausted: false,
        overhead: Count::NONE,
    };
}

/// The parts of an event that do not come from a closed set or an admitted label.
#[derive(Debug, Clone, Default)]
pub(crate) struct Custom {
    /// Of an event made by hand.
    pub(crate) id: String,
    /// By which the gateway and its client know the request.
    pub(crate) request_id: Option<Box<str>>,
    /// By which the provider knows it.
    pub(crate) provider_request_id: Option<Box<str>>,
    /// The span of a trace that is sampled.
    pub(crate) trace: Option<TraceLink>,
    pub(crate) metadata: Vec<(String, String)>,
}

impl Measurement {
    pub(crate) fn new(kind: Kind, event: PerformanceEventType) -> Self {
        Self {
            kind,
            event,
            method: None,
            status: None,
            ended: Timestamp::EPOCH,
            duration: 0,
            error: None,
            provider: Label::NONE,
            model: Label::NONE,
            operation: Label::NONE,
            endpoint: Label::NONE,
            component: Label::NONE,
            component_operation: Label::NONE,
            failover_to: Label::NONE,
            reason: Label::NONE,
            cost: Amount::NONE,
            input_tokens: Count::NONE,
            output_tokens: Count::NONE,
            cache_read_tokens: Count::NONE,
            cache_write_tokens: Count::NONE,
            reasoning_tokens: Count::NONE,
            request_size: Count::NONE,
            response_size: Count::NONE,
            time_to_first_chunk: Amount::NONE,
            chunks: 0,
            chain: Chain::NONE,
            custom: None,
        }
    }

    /// Sets the time to the first chunk; whether that many nanoseconds are one.
    pub(crate) fn set_time_to_first_chunk(&mut self, nanos: f64) -> bool {
        // Some 290 years.
        let is_one = nanos >= 0.0 && nanos < 2f64.powi(63);
        if is_one {
            self.time_to_first_chunk = Amount::new(nanos as u64);
        }
        is_one
    }

    /// Of a streamed answer, nanoseconds for each chunk of output after the first.
    pub(crate) fn time_per_output_chunk(&self) -> Option<u64> {
        let rest = u64::from(self.chunks.checked_sub(1)?);
        self.time_after_first_chunk()?.checked_div(rest)
    }

    /// Of a streamed answer, nanoseconds from its first chunk of output to its end.
    pub(crate) fn time_after_first_chunk(&self) -> Option<u64> {
        let first = self.time_to_first_chunk.get()?;
        Some(self.duration.saturating_sub(first))
    }

    pub(crate) fn cost(&self) -> Option<NanoUsd> {
        self.cost
            .get()
            .map(|nanos| NanoUsd::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)))
    }

    pub(crate) fn set_cost(&mut self, cost: NanoUsd) {
        self.cost = Amount::new(cost.nanos().unsigned_abs());
    }

    /// The span that stands for it in a trace.
    pub(crate) fn trace(&self) -> Option<TraceLink> {
        let trace = self.custom.as_deref()?.trace;
        trace.filter(TraceLink::is_one)
    }

    /// Notes the span that stands for it in a trace, if there is one.
    pub(crate) fn set_trace(&mut self, link: Option<TraceLink>) {
        if link.is_some() {
            self.custom.get_or_insert_default().trace = link;
        }
    }

    /// By what the gateway and its client know the request.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.custom.as_deref()?.request_id.as_deref()
    }

    /// Takes over by what the request is known that this belongs to, unless it has its own.
    pub(crate) fn set_request_id(&mut self, of_request: Option<Box<str>>) {
        if of_request.is_some() {
            let own = &mut self.custom.get_or_insert_default().request_id;
            *own = own.take().or(of_request);
        }
    }

    /// Whether it tells of a failure.
    pub(crate) fn failed(&self) -> bool {
        self.error.is_some() || self.status.is_some_and(|status| status >= 400)
    }

    /// Bytes that it has on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.custom.as_deref().map_or(0, |custom| {
            let metadata = custom.metadata.iter();
            let texts: usize = metadata.map(|(k, v)| k.capacity() + v.capacity()).sum();
            let list = custom.metadata.capacity() * size_of::<(String, String)>();
            let ids = [&custom.request_id, &custom.provider_request_id];
            let ids: usize = ids.into_iter().flatten().map(|id| id.len()).sum();
            size_of::<Custom>() + custom.id.capacity() + ids + list + texts
        })
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_nanos(self.duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_what_it_was_made_of_up_to_the_largest() {
        for count in [0, 1, 255, 256, 1 << 32, Count::LARGEST] {
            assert_eq!(Count::new(count).get(), Some(count));
        }
        for count in [Count::LARGEST + 1, u64::MAX] {
            assert_eq!(Count::new(count).get(), Some(Count::LARGEST));
        }
        assert_eq!(Count::NONE.get(), None);
        assert_eq!(Count::NONE.or(Count::new(7)), Count::new(7));
        assert_eq!(Count::new(0).or(Count::new(7)), Count::new(0));
        assert!(Count::new(256) > Count::new(255), "the bytes are in order");
    }

    #[test]
    fn methods_outside_the_known_set_are_other() {
        assert_eq!(Method::from_text("post").text(), "POST");
        assert_eq!(Method::from_text("QUERY").text(), "QUERY");
        assert_eq!(Method::from_text("BREW").text(), "_OTHER");
        assert_eq!(Method::from_text("").text(), "_OTHER");
    }

    #[test]
    fn a_measurement_is_small_enough_to_be_copied_about() {
        assert!(
            size_of::<Measurement>() <= 160,
            "{}",
            size_of::<Measurement>()
        );
    }
}
