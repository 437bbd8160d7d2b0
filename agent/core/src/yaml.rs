//! YAML that people write, as a tree in which every value knows its line and column.
//!
//! Built from the events of a YAML 1.2 parser, with bounds on size, depth and the number of values
//! after aliases are followed, so that a small file cannot become a huge tree.

mod merge;
mod problem;
mod read;

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

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
    let mut builder = Builder {
        shift,
        ..Builder::default()
    };
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
    builder.roots.retain(|node| !node.is_null());
    Ok(builder.roots)
}

/// An unfinished list or mapping.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(String, usize, usize)>,
    seen: std::collections::BTreeSet<String>,
    /// Values inside, and the depth below.
    count: usize,
    depth: usize,
}

/// A finished value, with its size, for aliases.
struct Anchored {
    node: Node,
    count: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    roots: Vec<Node>,
    /// Lines before this text.
    shift: usize,
    anchors: BTreeMap<usize, Anchored>,
    total: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        // The parser counts columns from 0 and lines from 1.
        let (line, column) = (span.start.line() + self.shift, span.start.col() + 1);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = check_tag(tag.as_deref(), line, column)?.unwrap_or(true)
                    && style == ScalarStyle::Plain;
                let value = Value::Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.add(
                    Node {
                        value,
                        line,
                        column,
                    },
                    anchor,
                    1,
                    0,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), line, column)?;
                self.start(Value::Sequence(Vec::new()), anchor, line, column)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), line, column)?;
                self.start(Value::Mapping(Vec::new()), anchor, line, column)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node, open.anchor, open.count + 1, open.depth + 1),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, line, column),
            _ => Ok(()),
        }
    }

    fn start(
        &mut self,
        value: Value,
        anchor: usize,
        line: usize,
        column: usize,
    ) -> Result<(), Problem> {
        self.check_depth(1, line, column)?;
        self.open.push(Open {
            node: Node {
                value,
                line,
                column,
            },
            anchor,
            key: None,
            seen: std::collections::BTreeSet::new(),
            count: 0,
            depth: 0,
        });
        Ok(())
    }

    fn check_depth(&self, more: usize, line: usize, column: usize) -> Result<(), Problem> {
        if self.open.len() + more > MAX_DEPTH {
            return Err(Problem::error(line, column, "nested too deeply".to_owned())
                .expected(format!("at most {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: usize, column: usize) -> Result<(), Problem> {
        let Some(found) = self.anchors.get(&anchor) else {
            return Err(Problem::error(
                line,
                column,
                "this alias stands inside the value that it names".to_owned(),
            ));
        };
        let (count, depth) = (found.count, found.depth);
        self.check_depth(depth, line, column)?;
        self.check_total(count, line, column)?;
        let mut node = self.anchors[&anchor].node.clone();
        (node.line, node.column) = (line, column);
        self.add(node, 0, count, depth)
    }

    fn check_total(&self, more: usize, line: usize, column: usize) -> Result<(), Problem> {
        if self.total + more > MAX_NODES {
            return Err(Problem::error(line, column, "too many values".to_owned())
                .expected(format!("at most {MAX_NODES}, aliases followed")));
        }
        Ok(())
    }

    fn add(
        &mut self,
        node: Node,
        anchor: usize,
        count: usize,
        depth: usize,
    ) -> Result<(), Problem> {
        let (line, column) = (node.line, node.column);
        // Lists and mappings were counted by their content already.
        let new = if matches!(node.value, Value::Scalar { .. }) {
            count
        } else {
            1
        };
        self.check_total(new, line, column)?;
        self.total += new;
        if anchor != 0 {
            // Copies for aliases are bounded like everything else.
            self.check_total(count, line, column)?;
            self.total += count;
            let node = node.clone();
            self.anchors.insert(anchor, Anchored { node, count, depth });
        }
        let Some(open) = self.open.last_mut() else {
            self.roots.push(node);
            return Ok(());
        };
        open.count += count;
        open.depth = open.depth.max(depth);
        match (&mut open.node.value, open.key.take()) {
            (Value::Sequence(items), _) => items.push(node),
            (Value::Mapping(entries), Some((key, line, column))) => entries.push(Entry {
                key,
                line,
                column,
                value: node,
            }),
            (Value::Mapping(_), None) => {
                let Value::Scalar { text, .. } = node.value else {
                    return Err(Problem::error(
                        line,
                        column,
                        "a key must be a single word".to_owned(),
                    ));
                };
                if !open.seen.insert(text.clone()) {
                    return Err(Problem::error(
                        line,
                        column,
                        format!("the key `{text}` stands twice"),
                    )
                    .expected("each key once".to_owned()));
                }
                open.key = Some((text, line, column));
            }
            (Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

/// None without a tag, false for `!!str` and `!`, which make text of anything.
fn check_tag(tag: Option<&Tag>, line: usize, column: usize) -> Result<Option<bool>, Problem> {
    let Some(tag) = tag else { return Ok(None) };
    if tag.is_yaml_core_schema() {
        match tag.suffix.as_str() {
            "str" => return Ok(Some(false)),
            "map" | "seq" | "int" | "bool" | "float" | "null" => return Ok(Some(true)),
            _ => {}
        }
    }
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Ok(Some(false));
    }
    Err(Problem::error(
        line,
        column,
        format!("the tag `{}{}` is not supported", tag.handle, tag.suffix),
    ))
}

#[cfg(test)]
mod tests;
