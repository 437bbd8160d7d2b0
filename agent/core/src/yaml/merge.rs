//! Laying one document over another.

use std::collections::BTreeSet;

use super::{Entry, Node, Problem, Value};

/// Lays `over` onto `node`: mappings merge key by key, lists of scalars unite, lists with mappings
/// or lists in them are put one after the other, a scalar replaces a scalar. What is null says
/// nothing.
///
/// # Errors
/// When the two have different kinds: one problem for each such value, at its place in `over`. The
/// value below stays then.
pub fn merge(node: &mut Node, over: Node) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    lay(node, over, "", &mut problems);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn lay(node: &mut Node, over: Node, name: &str, problems: &mut Vec<Problem>) {
    if over.is_null() {
        return;
    }
    if node.is_null() {
        *node = over;
        return;
    }
    let kinds = (node.kind(), over.kind());
    let (line, column) = (over.line, over.column);
    match (&mut node.value, over.value) {
        (Value::Mapping(entries), Value::Mapping(more)) => {
            for entry in more {
                add(entries, entry, name, problems);
            }
        }
        (Value::Sequence(items), Value::Sequence(more)) => {
            unite(items, more);
        }
        (below @ Value::Scalar { .. }, above @ Value::Scalar { .. }) => {
            *below = above;
            (node.line, node.column) = (line, column);
        }
        _ => problems.push(
            Problem::error(
                line,
                column,
                format!(
                    "`{name}` is {} here and {} on line {}",
                    kinds.1, kinds.0, node.line
                ),
            )
            .expected(kinds.0),
        ),
    }
}

fn add(entries: &mut Vec<Entry>, entry: Entry, name: &str, problems: &mut Vec<Problem>) {
    let Some(old) = entries.iter_mut().find(|old| old.key == entry.key) else {
        entries.push(entry);
        return;
    };
    let name = match name {
        "" => entry.key,
        above => format!("{above}.{}", entry.key),
    };
    // Whoever said it last is whom a message is for.
    (old.line, old.column) = (entry.line, entry.column);
    lay(&mut old.value, entry.value, &name, problems);
}

fn unite(items: &mut Vec<Node>, more: Vec<Node>) {
    let mut seen = BTreeSet::new();
    let all = items.iter().chain(&more);
    let plain = all.map(scalar).all(|text| text.is_some());
    if plain {
        seen.extend(items.iter().filter_map(scalar).map(str::to_owned));
    }
    for item in more {
        let new = scalar(&item).is_none_or(|text| !plain || seen.insert(text.to_owned()));
        if new {
            items.push(item);
        }
    }
}

/// Text of a scalar, null included.
fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, .. } => Some(text),
        _ => None,
    }
}
