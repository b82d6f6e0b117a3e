//! The rooms of the source, inner first: a file uses only rooms above its own, or its own folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::{fs, path::Path};

/// Rooms by the beginning of a file's path below `src`, the inner ones first.
const ROOMS: [&[&str]; 5] = [
    &["clock", "config", "error", "event_type", "names"],
    &["core/"],
    &["edge/"],
    &[
        "cardinality",
        "counter",
        "exports",
        "health",
        "summary",
        "tick",
        "http/",
    ],
    &[
        "alerting",
        "analysis",
        "builder",
        "exporting",
        "global",
        "handle",
        "lifecycle",
        "macros",
        "monitor",
        "pricing",
        "providers",
        "pushing",
        "ranking",
        "rehearsal",
        "lib",
    ],
];

/// What the pure core does without.
const IMPURE: [&str; 9] = [
    "tokio",
    "axum",
    "opentelemetry",
    "tracing",
    "prometheus",
    "sysinfo",
    "std::fs",
    "std::env",
    "Instant",
];

fn room(path: &str) -> Option<usize> {
    let of = |names: &&&[&str]| names.iter().any(|name| path.starts_with(name));
    ROOMS.iter().position(|names| of(&names))
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            let below = path
                .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
                .unwrap();
            let name = below.to_str().unwrap().to_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut found,
    );
    found
}

/// The paths below `crate::` that the `use` lines of a source name.
fn used(source: &str) -> Vec<String> {
    let without_comments: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join(" ");
    let mut paths = Vec::new();
    for tree in without_comments.split("use crate::").skip(1) {
        let tree = tree.split(';').next().unwrap_or_default();
        expand("", tree, &mut paths);
    }
    paths
}

/// Writes out `a::{b, c::{d}}` as `a/b` and `a/c/d`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((head, rest)) => {
            let head = head.trim().trim_end_matches("::").replace("::", "/");
            let prefix = [prefix, &head].join("/").trim_matches('/').to_owned();
            let inner = rest.trim().strip_suffix('}').unwrap_or(rest);
            let (mut depth, mut start) = (0, 0);
            for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        expand(&prefix, &inner[start..at], paths);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        }
        None if tree.is_empty() => {}
        None => {
            let path = [prefix, &tree.replace("::", "/")].join("/");
            paths.push(path.trim_matches('/').to_owned());
        }
    }
}

#[test]
fn a_file_uses_only_rooms_above_its_own() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        let own = room(&file).unwrap_or_else(|| panic!("src/{file} is in no room"));
        for path in used(&source) {
            // What is named by a re-export at the root is looked at where it is defined.
            let Some(other) = room(&path) else { continue };
            let folder = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
            let beside =
                own == 2 && other == 2 && folder(&file).trim_end_matches(".rs") != folder(&path);
            if other > own || beside {
                wrong.push(format!(
                    "src/{file} uses crate::{}",
                    path.replace('/', "::")
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these go outward or sideways:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        if room(&file) != Some(1) {
            continue;
        }
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(name) = IMPURE.iter().find(|name| {
                code.contains(&format!("{name}::"))
                    || code.trim_start().starts_with(&format!("use {name}"))
            }) {
                wrong.push(format!("src/{file}:{}: {name}: {line}", number + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the core must not know of these:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn use_trees_are_written_out() {
    let paths = used("use crate::{a::B, c::{d, e::{F, G}}};\nuse crate::h;\n// use crate::i;");
    assert_eq!(paths, ["a/B", "c/d", "c/e/F", "c/e/G", "h"]);
}
