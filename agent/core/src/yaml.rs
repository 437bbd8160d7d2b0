//! YAML that people write, as a tree in which every value knows its line and column.
//!
//! Built from the events of a YAML 1.2 parser, with bounds on size, depth and the number of values
//! after aliases are followed, so that a small file cannot become a huge tree.

mod build;
mod merge;
mod problem;
mod read;

use saphyr_parser::{Event, Parser};

use build::Builder;
pub use merge::merge;
pub use problem::{Problem, Severity, nearest};
pub use read::{Map, Reader};

/// The largest document that is read, bytes (as cloud-init and Kairos have it).
pub const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 48;
/// The most values of one document, aliases followed.
pub const MAX_NODES: usize = 50_000;

/// A value and where it stands. Lines and columns count from 1.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    pub value: Value,
    pub line: usize,
    pub column: usize,
}

/// What a value is. Scalars keep their text: only the key they belong to tells what they mean.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `plain` is false for quoted and block text, which is never a number, a boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    /// In the order of the document.
    Mapping(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub column: usize,
    pub value: Node,
}

// A tree may hold tokens and passwords: only its shape is shown.
impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}:{}", self.kind(), self.line, self.column)
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scalar { .. } => "Scalar(<hidden>)",
            Self::Sequence(_) => "Sequence",
            Self::Mapping(_) => "Mapping",
        })
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.key, self.value)
    }
}

impl Node {
    /// Whether nothing was written: empty, `~` or `null`.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The text of a scalar, whatever its type would be; none for null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// For messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// As JSON, by the core schema of YAML 1.2 (10.3.2).
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Scalar { text, plain: false } => Json::String(text.clone()),
            Value::Scalar { text, plain: true } => plain_json(text),
            Value::Sequence(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Mapping(entries) => Json::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.value.to_json()))
                    .collect(),
            ),
        }
    }
}

fn plain_json(text: &str) -> serde_json::Value {
    use serde_json::Value as Json;
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        "true" | "True" | "TRUE" => return Json::Bool(true),
        "false" | "False" | "FALSE" => return Json::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts_like_a_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if let Ok(number) = text.parse::<i64>() {
        return Json::from(number);
    }
    if starts_like_a_number
        && digits.bytes().any(|b| b.is_ascii_digit())
        && let Ok(number) = text.parse::<f64>()
        && let Some(number) = serde_json::Number::from_f64(number)
    {
        return Json::Number(number);
    }
    Json::String(text.to_owned())
}

/// Reads one document. None when there is nothing in it but comments.
///
/// # Errors
/// A syntax error, a second document, a duplicate key, a key that is not a single value, a tag, or
/// one of the bounds; always with its place.
pub fn parse(text: &str) -> Result<Option<Node>, Problem> {
    let mut documents = parse_all(text, 1)?.into_iter();
    let first = documents.next();
    match documents.next() {
        Some(second) => Err(Problem::error(
            second.line,
            second.column,
            "a second document begins here".to_owned(),
        )
        .expected("one document in a file")),
        None => Ok(first),
    }
}

/// Reads every document of a text, without those that hold nothing. The first line counts as
/// `first_line`, so that several texts can share one count.
///
/// # Errors
/// As [`parse`], save that there may be more than one document.
pub fn parse_all(text: &str, first_line: usize) -> Result<Vec<Node>, Problem> {
    let shift = first_line.saturating_sub(1);
    if text.len() > MAX_BYTES {
        return Err(
            Problem::error(first_line, 1, format!("the file has {} bytes", text.len()))
                .expected(format!("at most {MAX_BYTES} bytes")),
        );
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::new(shift);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|err| {
            Problem::error(
                err.marker().line() + shift,
                err.marker().col() + 1,
                format!("not valid YAML: {}", err.info()),
            )
        })?;
        if matches!(event, Event::StreamEnd) {
            break;
        }
        builder.take(event, span)?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests;
