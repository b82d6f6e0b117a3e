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
use futures_util::{StreamExt, stream};
use std::{fmt::Write, pin::pin};

/// Cells that are asked side by side, each with a gateway and providers of its own.
const AT_ONCE: usize = 6;

/// Asks the gateway once for each cell, and says all that is not as it should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cell_is_measured_as_what_it_is() {
    let mut cells = Vec::new();
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        for streamed in [false, true] {
            for fate in Fate::ALL {
                // Only a stream has a first token to hang up after.
                if !streamed && matches!(fate, Fate::HangUpAfter) {
                    continue;
                }
                for chain in [Chain::None, Chain::Succeeds, Chain::Exhausted] {
                    cells.push(Cell {
                        dialect,
                        streamed,
                        fate,
                        chain,
                    });
                }
            }
        }
    }
    assert_eq!(cells.len(), 126);
    let measured = stream::iter(cells).map(async |cell| (cell, gateway::differences(cell).await));
    let mut measured = pin!(measured.buffer_unordered(AT_ONCE));
    let mut wrong = String::new();
    while let Some((cell, differences)) = measured.next().await {
        for difference in differences {
            writeln!(wrong, "{cell:?}: {difference}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
