//! The price table: where it is read from, and how it is changed while the monitor runs.

use crate::{
    PerformanceMonitor,
    core::prices::{PriceTable, PriceTableInfo},
    error::PriceTableError,
};
use std::path::Path;

impl PriceTable {
    /// Reads the table in a file, as [`from_json`](Self::from_json) does.
    ///
    /// # Errors
    /// The file cannot be read, or holds no table.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, PriceTableError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| PriceTableError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let mut table = Self::from_json(&text).map_err(|source| PriceTableError::InFile {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        table.path = Some(path.to_owned());
        Ok(table)
    }
}

impl PerformanceMonitor {
    /// Prices what is counted from now on by `table`.
    pub fn set_price_table(&self, table: PriceTable) {
        let recorder = self.recorder();
        recorder.prices.set(table, recorder.now());
    }

    /// Reads the file again that the table in force was loaded from, and says what is in force
    /// then.
    ///
    /// # Errors
    /// The table was not loaded from a file, or the file is no longer fit: the table in force
    /// stays.
    pub fn reload_prices(&self) -> Result<PriceTableInfo, PriceTableError> {
        let recorder = self.recorder();
        let current = recorder.prices.table();
        let path = current.and_then(|table| table.path.clone());
        let table = PriceTable::load(path.ok_or(PriceTableError::NoFile)?)?;
        recorder.prices.set(table, recorder.now());
        recorder.prices.info().ok_or(PriceTableError::NoFile)
    }

    /// The price table in force, if there is one.
    #[must_use]
    pub fn price_table(&self) -> Option<PriceTableInfo> {
        self.recorder().prices.info()
    }
}
