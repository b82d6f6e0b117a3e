//! Which entry of a table is the price of a provider's model.

use super::{Entry, Price, PriceTable};

/// Providers by the names of the OpenTelemetry conventions, and by those of the table.
const NAMES: [(&str, &str); 10] = [
    ("aws.bedrock", "bedrock"),
    ("azure.ai.inference", "azure_ai"),
    ("azure.ai.openai", "azure"),
    ("gcp.gemini", "gemini"),
    ("gcp.gen_ai", "gemini"),
    ("gcp.vertex_ai", "vertex_ai"),
    ("ibm.watsonx.ai", "watsonx"),
    ("mistral_ai", "mistral"),
    ("x_ai", "xai"),
    ("together", "together_ai"),
];

impl PriceTable {
    /// The price of that model of that provider, if there is one and no doubt about it.
    pub(crate) fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        let named = NAMES.iter().find(|(name, _)| *name == provider);
        let provider = named.map_or(provider, |(_, name)| name);
        let known = self.providers.iter().any(|of| fits(of, provider));
        let versions = boundaries(model).filter_map(|at| {
            let (name, rest) = model.split_at_checked(at)?;
            is_version(rest.get(1..)?).then_some(name)
        });
        let names = std::iter::once(model).chain(versions);
        let mut names = names.chain(tuned(model));
        let entry = names.find_map(|name| self.entry(provider, name, known))?;
        Some(&entry.price)
    }

    fn entry(&self, provider: &str, model: &str, known: bool) -> Option<&Entry> {
        let prefixed = self.entries.get(format!("{provider}/{model}").as_str());
        let own = || {
            let entry = self.entries.get(model)?;
            (!known || fits(&entry.provider, provider)).then_some(entry)
        };
        prefixed.or_else(own)
    }
}

/// Parts of a provider that have a name of their own in the table.
const PARTS: [(&str, &str); 5] = [
    ("azure_text", "azure"),
    ("bedrock_converse", "bedrock"),
    ("bedrock_mantle", "bedrock"),
    ("cohere_chat", "cohere"),
    ("text-completion-openai", "openai"),
];

/// Whether an entry's provider is that one, or a part of it such as `vertex_ai-anthropic_models`.
fn fits(entry: &str, provider: &str) -> bool {
    let rest = entry
        .strip_prefix(provider)
        .filter(|_| !provider.is_empty());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        || PARTS.contains(&(entry, provider))
}

/// `ft:gpt-4o-2024-08-06` of `ft:gpt-4o-2024-08-06:somebody::id`, a model that was tuned.
fn tuned(model: &str) -> Option<&str> {
    let rest = model.strip_prefix("ft:")?;
    let end = rest.find(':')?;
    model.get(.."ft:".len() + end)
}

/// Where a version may begin, the last place first.
fn boundaries(model: &str) -> impl Iterator<Item = usize> {
    let all: Vec<usize> = model
        .match_indices(['-', '@', ':', '.', '_'])
        .map(|(at, _)| at)
        .collect();
    all.into_iter().rev()
}

/// Whether this is the version of a model, and not another model's name: a date or a number of three
/// digits or more, `v` and a number, or `latest`.
fn is_version(text: &str) -> bool {
    let mut parts = text.split(['-', '@', ':', '.', '_']).peekable();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let word = |part: &str| part == "latest" || part.strip_prefix('v').is_some_and(digits);
    let first = parts.next().unwrap_or_default();
    // A month and its year.
    let is_month = first.len() == 2 && parts.peek().is_some_and(|year| year.len() == 4);
    (word(first) || digits(first) && (first.len() >= 3 || is_month))
        && parts.all(|part| word(part) || digits(part))
}
