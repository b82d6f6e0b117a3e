//! JSON as it was written: each number finite, each name once, and where it goes wrong is known.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::change::Wrong;
use crate::core::labels::is_unprintable;

/// A JSON value whose objects keep their fields in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

/// Reads one JSON text and nothing after it.
pub(super) fn read(bytes: &[u8]) -> Result<Json, Wrong> {
    let mut place = Place::default();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = Reader(&mut place).deserialize(&mut deserializer);
    let read = read.and_then(|json| deserializer.end().map(|()| json));
    read.map_err(|error| {
        let field = place.path();
        if place.twice {
            return Wrong::malformed(field, "This name is there twice.", ["each name once"]);
        }
        let at = format!("line {} column {}", error.line(), error.column());
        // Said in these words by the parser, which tells its errors apart in no other way.
        if error.to_string().starts_with("number out of range") {
            let detail = format!("The number at {at} is too large.");
            return Wrong::malformed(field, detail, ["a finite number"]);
        }
        let detail = format!("This is not JSON: it goes wrong at {at}.");
        Wrong::malformed(field, detail, ["one JSON object"])
    })
}

/// `path` and then `name`, as much of it as can be shown.
pub(super) fn join(path: &str, name: &str) -> String {
    let printable = |c: char| if is_unprintable(c) { '\u{FFFD}' } else { c };
    let name: String = name.chars().take(64).map(printable).collect();
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

/// Where in the text we are; after an error, where that was.
#[derive(Debug, Default)]
struct Place {
    steps: Vec<Step>,
    twice: bool,
}

#[derive(Debug)]
enum Step {
    Name(String),
    Index(usize),
}

impl Place {
    fn path(&self) -> String {
        // What is too deep for any field of ours is not worth naming whole.
        let steps = self.steps.iter().take(8);
        steps.fold(String::new(), |path, step| match step {
            Step::Name(name) => join(&path, name),
            Step::Index(index) => format!("{path}[{index}]"),
        })
    }
}

struct Reader<'p>(&'p mut Place);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.steps.push(Step::Index(list.len()));
            match seq.next_element_seed(Reader(self.0))? {
                Some(element) => list.push(element),
                None => break,
            }
            self.0.steps.pop();
        }
        self.0.steps.pop();
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let twice = !names.insert(name.clone());
            self.0.steps.push(Step::Name(name.clone()));
            if twice {
                self.0.twice = true;
                return Err(de::Error::custom("twice"));
            }
            let value = map.next_value_seed(Reader(self.0))?;
            self.0.steps.pop();
            fields.push((name, value));
        }
        Ok(Json::Map(fields))
    }
}
