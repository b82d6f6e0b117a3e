//! Figures by name, as one process tells them to another.

use std::collections::BTreeMap;

/// Figures by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    pub(crate) fn add(&mut self, name: &str, value: f64) {
        *self.0.entry(name.to_owned()).or_default() += value;
    }

    /// Zero, if there is none of this name.
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// Those whose names begin so, without that.
    pub(crate) fn of(&self, prefix: &str) -> impl Iterator<Item = (&str, f64)> {
        let within = self.0.iter();
        within.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }

    pub(crate) fn print(&self) {
        for (name, value) in &self.0 {
            println!("{name} {value}");
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let pairs = lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Self(pairs.collect())
    }
}
