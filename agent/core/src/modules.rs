//! Which kernel modules serve which hardware: the index files that `depmod` writes
//! (`modules.alias`, `modules.dep`, `modules.softdep`, `modules.builtin`), see depmod(8),
//! modprobe.d(5).

use std::collections::{BTreeMap, BTreeSet};

/// The longest chain of dependencies that is followed: the files come out of an image, and each link
/// costs stack. The longest of Debian's kernel has 9.
const MAX_CHAIN: usize = 64;

/// Whether a pattern of `modules.alias` matches a modalias: `*`, `?` and `[a-z]` as in fnmatch(3).
///
/// The time is bounded by the product of the lengths: a hostile pattern cannot make it run away.
pub fn modalias_matches(pattern: &str, alias: &str) -> bool {
    let (pattern, alias) = (pattern.as_bytes(), alias.as_bytes());
    let (mut p, mut a) = (0, 0);
    // The last star, and where in the alias its match ended when last tried.
    let mut star: Option<(usize, usize)> = None;
    while a < alias.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, a));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], alias[a]) {
            p += length;
            a += 1;
        } else if let Some((at, from)) = star {
            p = at + 1;
            a = from + 1;
            star = Some((at, a));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Length of the pattern element at the start if it matches the character.
fn one(pattern: &[u8], c: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => set(pattern, c),
        first => (first == c).then_some(1),
    }
}

/// `[abc]`, `[a-z]`, `[!a]`. An unclosed bracket is an ordinary character.
fn set(pattern: &[u8], c: u8) -> Option<usize> {
    let close = pattern.iter().skip(2).position(|b| *b == b']');
    let Some(end) = close.map(|i| i + 2) else {
        return (c == b'[').then_some(1);
    };
    let mut inner = &pattern[1..end];
    let negated = matches!(inner.first(), Some(b'!' | b'^'));
    if negated {
        inner = &inner[1..];
    }
    let mut found = false;
    while let Some((&from, rest)) = inner.split_first() {
        if let [b'-', to, after @ ..] = rest {
            found |= (from..=*to).contains(&c);
            inner = after;
        } else {
            found |= from == c;
            inner = rest;
        }
    }
    (found != negated).then_some(end + 1)
}

/// Whether a modalias is that of a controller of disks: PCI's class "mass storage", virtio's block
/// device or SCSI host, NVMe without PCI, or an SD host (PCI Code and ID Assignment Specification,
/// classes 01 and 08 05; virtio 1.2 section 5, device types 2 and 8). Disks may hang on others too;
/// this says with whom to begin.
#[must_use]
pub fn drives_disks(modalias: &str) -> bool {
    let Some((bus, rest)) = modalias.split_once(':') else {
        return false;
    };
    match bus {
        "pci" => rest.contains("bc01") || rest.contains("bc08sc05"),
        "virtio" => rest.starts_with("d00000002v") || rest.starts_with("d00000008v"),
        _ => rest.contains("nvme") || rest.contains("mmc") || rest.contains("ufs"),
    }
}

/// A module's name as the kernel has it: underscores, without folder and suffix.
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.find(".ko").map_or(file, |at| &file[..at]);
    stem.replace('-', "_")
}

/// The parsed index files of one kernel.
#[derive(Debug, Clone, Default)]
pub struct ModuleIndex {
    /// Name -> path below `/usr/lib/modules/<release>/`.
    paths: BTreeMap<String, String>,
    /// Name -> names that it needs, nearest first.
    needs: BTreeMap<String, Vec<String>>,
    before: BTreeMap<String, Vec<String>>,
    after: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
    /// Pattern and name, grouped by the text before the first `:` (`pci`, `usb`, `virtio`): a box
    /// has hundreds of modaliases and a kernel tens of thousands of patterns.
    aliases: BTreeMap<String, Vec<(String, String)>>,
}

/// Texts of the index files of one kernel; empty where a file is missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct IndexFiles<'a> {
    pub dep: &'a str,
    pub alias: &'a str,
    pub softdep: &'a str,
    pub builtin: &'a str,
    /// `modules.builtin.modinfo`: entries `module.key=value`, each ended by a zero byte.
    pub builtin_modinfo: &'a str,
}

impl ModuleIndex {
    /// Reads the index files. Lines that are not understood are passed over, as `modprobe` does.
    pub fn parse(files: &IndexFiles<'_>) -> Self {
        let mut index = Self::default();
        for line in files.dep.lines() {
            let Some((path, needs)) = line.split_once(':') else {
                continue;
            };
            let name = module_name(path.trim());
            index.needs.insert(
                name.clone(),
                needs.split_whitespace().map(module_name).collect(),
            );
            index.paths.insert(name, path.trim().to_owned());
        }
        for line in files.alias.lines() {
            let mut words = line.split_whitespace();
            if let (Some("alias"), Some(pattern), Some(name)) =
                (words.next(), words.next(), words.next())
            {
                index.add_alias(pattern, name);
            }
        }
        for entry in files.builtin_modinfo.split('\0') {
            let Some((name, pattern)) = entry.split_once(".alias=") else {
                continue;
            };
            index.add_alias(pattern.trim(), name.trim());
        }
        index.builtin = files
            .builtin
            .lines()
            .map(str::trim)
            .map(module_name)
            .collect();
        for line in files.softdep.lines() {
            index.add_softdep(line);
        }
        index
    }

    fn add_alias(&mut self, pattern: &str, name: &str) {
        let class = pattern.split_once(':').map_or("", |(class, _)| class);
        // A class that is itself a pattern fits every class.
        let class = if class.contains(['*', '?', '[']) {
            ""
        } else {
            class
        };
        self.aliases
            .entry(class.to_owned())
            .or_default()
            .push((pattern.to_owned(), module_name(name)));
    }

    /// `softdep ext4 pre: crc32c post: foo` (modprobe.d(5)).
    fn add_softdep(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        if words.next() != Some("softdep") {
            return;
        }
        let Some(name) = words.next().map(module_name) else {
            return;
        };
        let mut list = None;
        for word in words {
            match word {
                "pre:" => list = Some(&mut self.before),
                "post:" => list = Some(&mut self.after),
                other => {
                    if let Some(list) = list.as_deref_mut() {
                        list.entry(name.clone()).or_default().push(other.to_owned());
                    }
                }
            }
        }
    }

    /// Whether some module or built-in code serves a modalias.
    pub fn serves(&self, modalias: &str) -> bool {
        !self.matching(modalias).is_empty()
    }

    /// Names of all modules that serve a modalias or that have this name.
    pub fn matching(&self, modalias: &str) -> Vec<String> {
        let class = modalias.split_once(':').map_or("", |(class, _)| class);
        let mut names: Vec<String> = Vec::new();
        let own = self.aliases.get(class).into_iter();
        let any = self
            .aliases
            .get("")
            .filter(|_| !class.is_empty())
            .into_iter();
        for (pattern, name) in own.chain(any).flatten() {
            if !names.contains(name) && modalias_matches(pattern, modalias) {
                names.push(name.clone());
            }
        }
        let name = module_name(modalias);
        if !names.contains(&name) && self.is_known(&name) {
            names.push(name);
        }
        names
    }

    /// Whether a module of this name exists, as a file or built in.
    pub fn is_known(&self, name: &str) -> bool {
        self.paths.contains_key(name) || self.builtin.contains(name)
    }

    /// Path below the kernel's module folder; none when built in or unknown.
    pub fn path(&self, name: &str) -> Option<&str> {
        self.paths.get(&module_name(name)).map(String::as_str)
    }

    /// Paths of all modules below the kernel's module folder, by name.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.values().map(String::as_str)
    }

    /// Whether it is built into the kernel.
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&module_name(name))
    }

    /// Paths of the module and of all it needs, in the order in which they must be loaded, each
    /// once. `wanted` is a module's name or a modalias; soft dependencies that no module serves are
    /// passed over, as `modprobe` does.
    pub fn load_order(&self, wanted: &str) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        self.visit(wanted, MAX_CHAIN, &mut seen, &mut order);
        order
    }

    /// The same for many, each path once.
    pub fn load_order_of<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for one in wanted {
            self.visit(one, MAX_CHAIN, &mut seen, &mut order);
        }
        order
    }

    fn visit(
        &self,
        wanted: &str,
        left: usize,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<String>,
    ) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let name = module_name(wanted);
        let names = if self.is_known(&name) {
            vec![name]
        } else {
            self.matching(wanted)
        };
        for name in names {
            // The mark is set before its needs are visited: a circle in a damaged file ends here.
            if !seen.insert(name.clone()) {
                continue;
            }
            let list =
                |of: &BTreeMap<String, Vec<String>>| of.get(&name).cloned().unwrap_or_default();
            for need in list(&self.before) {
                self.visit(&need, left, seen, order);
            }
            // modules.dep lists what must be loaded first last.
            for need in list(&self.needs).iter().rev() {
                self.visit(need, left, seen, order);
            }
            order.extend(self.paths.get(&name).cloned());
            for need in list(&self.after) {
                self.visit(&need, left, seen, order);
            }
        }
    }

    /// All patterns of modaliases that this kernel serves, for the hub's facts.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.aliases
            .values()
            .flatten()
            .map(|(pattern, _)| pattern.as_str())
    }
}

#[cfg(test)]
mod tests;
