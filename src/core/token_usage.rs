//! The tokens of one call, as somebody tells them by hand.

/// The tokens that one call used, as far as they are known; what is `None` was not told.
///
/// ```
/// use aimux_otel::TokenUsage;
///
/// let usage = TokenUsage::new(1_200, 340).cache_read(1_024).reasoning(128);
/// assert_eq!(usage.input_tokens, Some(1_200));
/// assert_eq!(usage.cache_read_tokens, Some(1_024));
/// assert_eq!(usage.cache_write_tokens, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TokenUsage {
    /// Tokens of the prompt, those read from or written to a cache included.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, those of reasoning included.
    pub output_tokens: Option<u64>,
    /// Those of the prompt that came from a cache of the provider.
    pub cache_read_tokens: Option<u64>,
    /// Those of the prompt that went to a cache of the provider.
    pub cache_write_tokens: Option<u64>,
    /// Those of the answer that are reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl TokenUsage {
    /// So many tokens of the prompt and of the answer.
    #[must_use]
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens: Some(input_tokens),
            output_tokens: Some(output_tokens),
            ..Self::default()
        }
    }

    /// The same, with so many tokens of the prompt from a cache of the provider.
    #[must_use]
    pub const fn cache_read(mut self, tokens: u64) -> Self {
        self.cache_read_tokens = Some(tokens);
        self
    }

    /// The same, with so many tokens of the prompt that went to a cache of the provider.
    #[must_use]
    pub const fn cache_write(mut self, tokens: u64) -> Self {
        self.cache_write_tokens = Some(tokens);
        self
    }

    /// The same, with so many tokens of the answer that are reasoning.
    #[must_use]
    pub const fn reasoning(mut self, tokens: u64) -> Self {
        self.reasoning_tokens = Some(tokens);
        self
    }
}
