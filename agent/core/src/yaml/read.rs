//! Takes typed values out of a tree and collects everything that is wrong, not only the first.

use super::{Entry, Node, Problem, Severity, Value, nearest};

/// Collects the problems of one document.
#[derive(Debug, Default)]
pub struct Reader {
    problems: Vec<Problem>,
}

/// A mapping that is being read. Every key that was asked for is known; [`Map::finish`] reports the
/// others.
#[derive(Debug)]
pub struct Map<'a> {
    /// Where it stands in the document, for messages: `burin.hub`; empty for the document itself.
    path: String,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    /// Known, and without effect.
    idle: Vec<&'static str>,
}

impl<'a> Map<'a> {
    /// The value of a key; none when it is missing or null.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entry(key)
            .map(|e| &e.value)
            .filter(|node| !node.is_null())
    }

    /// The entry of a key, null or not; does not make it known.
    pub fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// All entries, for mappings whose keys are free.
    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The full name of a key of this mapping.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Keys that are known and have no effect: each one present is a warning that names it and says
    /// what happens instead.
    pub fn idle(&mut self, keys: &[(&'static str, &str)], reader: &mut Reader) {
        for (key, instead) in keys {
            self.idle.push(key);
            if let Some(entry) = self.entry(key) {
                let name = self.name(key);
                reader.push(Problem::warning(
                    entry.line,
                    entry.column,
                    format!("`{name}` has no effect: {instead}"),
                ));
            }
        }
    }

    /// Reports every key that nobody asked for, as an error.
    pub fn finish(self, reader: &mut Reader) {
        for entry in self.unknown() {
            let message = format!("unknown key `{}`", self.name(&entry.key));
            let all = self.known.iter().chain(&self.idle).copied();
            let expected = match nearest(&entry.key, all) {
                Some(word) => format!("`{word}`, perhaps"),
                None => format!("one of: {}", self.known.join(", ")),
            };
            reader.push(Problem::error(entry.line, entry.column, message).expected(expected));
        }
    }

    /// The same for a mapping of another product, which may have keys that nobody here heard of: an
    /// error only where a key that counts seems to be meant, else a warning.
    pub fn finish_foreign(self, reader: &mut Reader) {
        for entry in self.unknown() {
            let message = format!("unknown key `{}`", self.name(&entry.key));
            let problem = match nearest(&entry.key, self.known.iter().copied()) {
                Some(word) => Problem::error(entry.line, entry.column, message)
                    .expected(format!("`{word}`, perhaps")),
                None => Problem::warning(
                    entry.line,
                    entry.column,
                    format!("{message}: it has no effect"),
                ),
            };
            reader.push(problem);
        }
    }

    fn unknown(&self) -> impl Iterator<Item = &'a Entry> + use<'a, '_> {
        let entries = self.entries.iter();
        entries.filter(|entry| {
            let key = entry.key.as_str();
            !self.known.contains(&key) && !self.idle.contains(&key)
        })
    }
}

impl Reader {
    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        // A file of nothing but mistakes must not make a list without end.
        if self.problems.len() < 500 {
            self.problems.push(problem);
        }
    }

    /// Adds an error at a value.
    pub fn error(&mut self, node: &Node, message: impl Into<String>, expected: impl Into<String>) {
        self.push(Problem::error(node.line, node.column, message.into()).expected(expected));
    }

    /// Adds a warning at a value.
    pub fn warn(&mut self, node: &Node, message: impl Into<String>) {
        self.push(Problem::warning(node.line, node.column, message.into()));
    }

    /// The warnings when there is no error, else everything, in the order of the document.
    ///
    /// # Errors
    /// All problems when at least one is an error.
    pub fn finish(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        self.problems.sort_by_key(|p| (p.line, p.column));
        if self.problems.iter().any(|p| p.severity == Severity::Error) {
            Err(self.problems)
        } else {
            Ok(self.problems)
        }
    }

    /// A mapping. `path` is its full name.
    pub fn map<'a>(&mut self, node: &'a Node, path: &str) -> Option<Map<'a>> {
        match &node.value {
            Value::Mapping(entries) => Some(Map {
                path: path.to_owned(),
                entries,
                known: Vec::new(),
                idle: Vec::new(),
            }),
            _ => {
                self.wrong_kind(node, path, "a mapping (`key: value`)");
                None
            }
        }
    }

    /// A mapping below a key; none when it is missing.
    pub fn map_at<'a>(&mut self, map: &mut Map<'a>, key: &'static str) -> Option<Map<'a>> {
        let node = map.get(key)?;
        self.map(node, &map.name(key))
    }

    fn wrong_kind(&mut self, node: &Node, name: &str, expected: &str) {
        let name = if name.is_empty() {
            "the document"
        } else {
            name
        };
        self.error(node, format!("`{name}` is {}", node.kind()), expected);
    }

    /// Text below a key.
    pub fn text(&mut self, map: &mut Map<'_>, key: &'static str) -> Option<String> {
        let node = map.get(key)?;
        let name = map.name(key);
        self.text_of(node, &name)
    }

    /// Text of a value.
    pub fn text_of(&mut self, node: &Node, name: &str) -> Option<String> {
        if let Some(text) = node.text() {
            return Some(text.to_owned());
        }
        self.wrong_kind(node, name, "a single value");
        None
    }

    /// `true` or `false` below a key.
    pub fn boolean(&mut self, map: &mut Map<'_>, key: &'static str) -> Option<bool> {
        let node = map.get(key)?;
        match node.text() {
            Some("true" | "True" | "TRUE") => Some(true),
            Some("false" | "False" | "FALSE") => Some(false),
            _ => {
                let name = map.name(key);
                self.error(
                    node,
                    format!("`{name}` is not a yes or no"),
                    "`true` or `false`",
                );
                None
            }
        }
    }

    /// A list below a key; empty when it is missing.
    pub fn list<'a>(&mut self, map: &mut Map<'a>, key: &'static str) -> &'a [Node] {
        match map.get(key) {
            None => &[],
            Some(node) => match &node.value {
                Value::Sequence(items) => items,
                _ => {
                    let name = map.name(key);
                    self.wrong_kind(node, &name, "a list");
                    &[]
                }
            },
        }
    }

    /// A list of texts below a key, with the values they came from; one text alone is a list of one.
    pub fn texts<'a>(&mut self, map: &mut Map<'a>, key: &'static str) -> Vec<(String, &'a Node)> {
        let Some(node) = map.get(key) else {
            return Vec::new();
        };
        if let Some(text) = node.text() {
            return vec![(text.to_owned(), node)];
        }
        let name = map.name(key);
        self.list(map, key)
            .iter()
            .filter_map(|item| Some((self.text_of(item, &name)?, item)))
            .collect()
    }
}
