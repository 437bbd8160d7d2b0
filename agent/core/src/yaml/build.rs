//! From the events of the parser to a tree, counted while it grows.

use std::collections::BTreeMap;

use saphyr_parser::{Event, ScalarStyle, Span, Tag};

use super::{Entry, MAX_DEPTH, MAX_NODES, Node, Problem, Value};

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

/// Puts documents together from the parser's events, within the bounds.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Open>,
    roots: Vec<Node>,
    /// Lines before this text.
    shift: usize,
    anchors: BTreeMap<usize, Anchored>,
    total: usize,
}

impl Builder {
    /// A builder for a text that has `shift` lines before it.
    pub(super) fn new(shift: usize) -> Self {
        Self {
            shift,
            ..Self::default()
        }
    }

    /// The documents, without those that hold nothing.
    pub(super) fn finish(mut self) -> Vec<Node> {
        self.roots.retain(|node| !node.is_null());
        self.roots
    }

    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
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
