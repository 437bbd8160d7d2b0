//! Several texts as one: the documents of a file, and the files of several sources.

use crate::yaml::{self, Entry, Node, Problem, Reader, Value};

/// First lines under which the tools of this field read a file.
const HEADERS: [&str; 3] = ["#cloud-config", "#kairos-config", "#node-config"];

/// What decides whom a host trusts and what runs on it: once a source has one key of a group, no
/// later source has a say in that group. Else whoever plugs a stick in could take a host over.
const TRUST: [(&str, &[&[&str]]); 6] = [
    (
        "the hub",
        &[&["burin", "hub"], &["stylus", "site", "paletteEndpoint"]],
    ),
    (
        "the token",
        &[&["burin", "token"], &["stylus", "site", "edgeHostToken"]],
    ),
    (
        "the authorities",
        &[&["burin", "network", "ca"], &["stylus", "site", "caCerts"]],
    ),
    ("the image keys", &[&["burin", "image_keys"]]),
    ("the users", &[&["users"], &["stylus", "site", "users"]]),
    (
        "what runs on the host",
        &[
            &["stages"],
            &["write_files"],
            &["bootcmd"],
            &["runcmd"],
            &["ssh_authorized_keys"],
        ],
    ),
];

/// All documents of all texts, one laid over the other.
pub(super) fn merge(texts: &[&str], reader: &mut Reader) -> Option<Node> {
    let mut root: Option<Node> = None;
    let mut first_line = 1;
    for text in texts {
        if let Some(mut own) = source(text, first_line, reader) {
            if let Some(below) = &root {
                keep_trust(below, &mut own, reader);
            }
            lay(&mut root, own, reader);
        }
        first_line += lines(text);
    }
    root
}

/// The documents of one text.
fn source(text: &str, first_line: usize, reader: &mut Reader) -> Option<Node> {
    let documents = match yaml::parse_all(text, first_line) {
        Ok(documents) => documents,
        Err(problem) => {
            reader.push(problem);
            return None;
        }
    };
    if let Some(problem) = documents.iter().find_map(profile) {
        reader.push(problem);
        return None;
    }
    let header = text.trim_start_matches('\u{feff}').lines().next();
    if !documents.is_empty() && !header.is_some_and(|line| HEADERS.contains(&line.trim_end())) {
        let message = "the first line is not `#cloud-config`: other tools would not read this file";
        reader.push(Problem::warning(first_line, 1, message.to_owned()));
    }
    let mut root = None;
    for document in documents {
        lay(&mut root, document, reader);
    }
    root
}

/// What is wrong with a profile that was given as user-data: none of its keys would have an effect.
fn profile(document: &Node) -> Option<Problem> {
    let Value::Mapping(entries) = &document.value else {
        return None;
    };
    let tells = |entry: &&Entry| match (entry.key.as_str(), entry.value.text()) {
        ("apiVersion", Some(text)) => text.starts_with("burin/"),
        ("kind", Some(text)) => text == "Profile",
        _ => false,
    };
    let entry = entries.iter().find(tells)?;
    let message = "this is a profile, not user-data".to_owned();
    Some(Problem::error(entry.line, entry.column, message).expected(
        "user-data, which begins with `#cloud-config`; a profile is checked by `burin check \
             --profile` and given to the hub by `burin-hub profile publish`",
    ))
}

fn lay(root: &mut Option<Node>, over: Node, reader: &mut Reader) {
    match root {
        None => *root = Some(over),
        Some(below) => {
            for problem in yaml::merge(below, over).err().into_iter().flatten() {
                reader.push(problem);
            }
        }
    }
}

fn keep_trust(below: &Node, own: &mut Node, reader: &mut Reader) {
    for (what, paths) in TRUST {
        if !paths.iter().any(|path| has(below, path)) {
            continue;
        }
        for path in paths {
            if let Some(entry) = take(own, path) {
                let name = path.join(".");
                let message =
                    format!("`{name}` has no effect: an earlier source has decided {what}");
                reader.push(Problem::warning(entry.line, entry.column, message));
            }
        }
    }
}

fn has(node: &Node, path: &[&str]) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return !node.is_null();
    };
    let Value::Mapping(entries) = &node.value else {
        return false;
    };
    entries
        .iter()
        .any(|entry| entry.key == *key && has(&entry.value, rest))
}

/// Takes what stands at a path out of a tree.
fn take(node: &mut Node, path: &[&str]) -> Option<Entry> {
    let (key, rest) = path.split_first()?;
    let Value::Mapping(entries) = &mut node.value else {
        return None;
    };
    let at = entries.iter().position(|entry| entry.key == *key)?;
    if rest.is_empty() {
        return Some(entries.remove(at));
    }
    take(&mut entries[at].value, rest)
}

/// Lines that a text takes in the common count.
fn lines(text: &str) -> usize {
    // The end of a text is a place, too: a problem may stand behind its last line.
    text.lines().count() + 1
}

/// Which of several texts a line of the common count is in, from 0, and its number there, from 1.
fn line_in(texts: &[&str], line: usize) -> (usize, usize) {
    let mut rest = line;
    for (index, text) in texts.iter().enumerate() {
        let own = lines(text);
        if rest <= own || index + 1 == texts.len() {
            return (index, rest);
        }
        rest -= own;
    }
    (0, line)
}

/// The problems of [`super::merge`] by text, with the lines of that text.
#[must_use]
pub fn by_source(texts: &[&str], problems: Vec<Problem>) -> Vec<Vec<Problem>> {
    let mut out = vec![Vec::new(); texts.len()];
    for mut problem in problems {
        let (index, line) = line_in(texts, problem.line);
        problem.line = line;
        if let Some(own) = out.get_mut(index) {
            own.push(problem);
        }
    }
    out
}
