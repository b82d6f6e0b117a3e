//! What `/performance/config` tells, and changes.

use super::{Surface, problem::Problem, query::Asked};
use crate::core::configuration::{Change, Configuration, Wrong, WrongKind};
use axum::http::StatusCode;

pub(crate) fn tell(surface: &Surface, _: &Asked) -> Result<Configuration, Problem> {
    Ok(surface.shared.configuration())
}

/// Makes the change that `body` asks for, and tells what is then in force.
pub(crate) fn change(surface: &Surface, body: &[u8]) -> Result<Configuration, Problem> {
    let change = Change::parse(body).map_err(problem)?;
    if surface.shared.is_shut_down() {
        let detail = "The monitor was shut down, and changes no more.";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let changed = surface.shared.change(|settings| change.apply(settings));
    changed.map_err(problem)?;
    Ok(surface.shared.configuration())
}

fn problem(wrong: Wrong) -> Problem {
    let status = match wrong.kind {
        WrongKind::Malformed => StatusCode::BAD_REQUEST,
        WrongKind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, wrong.detail)
        .field(wrong.field)
        .allowed(wrong.allowed)
}
