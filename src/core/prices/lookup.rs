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
        let mut names = std::iter::once(model).chain(versions);
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

/// Whether an entry's provider is that one, or a part of it such as `vertex_ai-anthropic_models`.
fn fits(entry: &str, provider: &str) -> bool {
    let rest = entry.strip_prefix(provider);
    !provider.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
        || entry == "text-completion-openai" && provider == "openai"
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
/// digits or more, `v` and a number, `latest` and its like.
fn is_version(text: &str) -> bool {
    let mut parts = text.split(['-', '@', ':', '.', '_']);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let word = |part: &str| {
        matches!(part, "latest" | "preview" | "exp" | "beta")
            || part.strip_prefix('v').is_some_and(digits)
    };
    let first = parts.next().unwrap_or_default();
    (word(first) || digits(first) && first.len() >= 3)
        && parts.all(|part| word(part) || digits(part))
}
