//! Every way in which a provider can treat a gateway, over real HTTP: two dialects, whole answers
//! and streams, eleven fates, and three lengths of the chain of providers. What the monitor then
//! says of the operation, its attempts, the fault, the tokens, the first token and the cost is the
//! same in JSON, in a scrape and in OTLP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod cell;
mod gateway;
mod provider;

use cell::{Cell, Chain, Dialect, Fate};
use std::fmt::Write;

/// Asks the gateway once for each cell, and says all that is not as it should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cell_is_measured_as_what_it_is() {
    let mut wrong = String::new();
    let mut cells = 0;
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for streamed in [false, true] {
            for fate in Fate::ALL {
                // Only a stream has a middle, and a first token to hang up after.
                if !streamed && matches!(fate, Fate::HangUpAfter) {
                    continue;
                }
                for chain in [Chain::None, Chain::Succeeds, Chain::Exhausted] {
                    let cell = Cell {
                        dialect,
                        streamed,
                        fate,
                        chain,
                    };
                    cells += 1;
                    for difference in gateway::differences(cell).await {
                        writeln!(wrong, "{cell:?}: {difference}").unwrap();
                    }
                }
            }
        }
    }
    assert_eq!(cells, 126);
    assert!(wrong.is_empty(), "\n{wrong}");
}
