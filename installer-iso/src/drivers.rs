//! Which kernel modules the installer carries: the patterns of `data/`, closed over what the
//! chosen modules need.
use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use burin_core::modules::{IndexFiles, ModuleIndex, module_name};

/// The index files that `depmod` makes and the kernel package ships, as text.
#[derive(Debug, Default, Clone)]
pub struct Indexes {
    /// `modules.dep`: `path: path path`.
    pub dep: String,
    /// `modules.alias`: `alias pattern module`.
    pub alias: String,
    /// `modules.softdep`: `softdep module pre: a b post: c`.
    pub softdep: String,
    /// `modules.builtin`: paths of what is built into the kernel.
    pub builtin: String,
    /// `modules.builtin.modinfo`: aliases of what is built in, entries ended by a zero byte.
    pub builtin_modinfo: String,
    /// `modules.order`: paths in the order of linking.
    pub order: String,
}

/// The chosen modules and the index files cut down to them.
#[derive(Debug, Default, Clone)]
pub struct Selection {
    /// Paths below `lib/modules/<release>/`, sorted.
    pub modules: BTreeSet<String>,
    /// The same index files with only the lines of chosen modules.
    pub indexes: Indexes,
}

/// Chooses the modules that `patterns` name and all that these need.
///
/// # Errors
/// A pattern is malformed, or a pattern not marked `?` matches neither a module nor a built-in.
pub fn select(patterns: &str, indexes: &Indexes) -> Result<Selection> {
    let paths: BTreeSet<&str> = parse_dep(&indexes.dep)?;
    let chosen = matching(patterns, &paths, &indexes.builtin)?;
    // The agent resolves by the same index: what it would load is what lies here.
    let index = ModuleIndex::parse(&IndexFiles {
        dep: &indexes.dep,
        alias: &indexes.alias,
        softdep: &indexes.softdep,
        builtin: &indexes.builtin,
        builtin_modinfo: &indexes.builtin_modinfo,
    });
    let names: Vec<String> = chosen.iter().map(|path| module_name(path)).collect();
    let needed = index.load_order_of(names.iter().map(String::as_str));
    let modules = needed.into_iter().collect();
    let indexes = cut(indexes, &modules);
    Ok(Selection { modules, indexes })
}

fn normalized(name: &str) -> String {
    name.replace('-', "_")
}

fn parse_dep(text: &str) -> Result<BTreeSet<&str>> {
    let mut paths = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let path = line.split_once(':').map(|(path, _)| path);
        paths.insert(path.with_context(|| format!("modules.dep line {line:?}"))?);
    }
    Ok(paths)
}

fn alias_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    (words.next() == Some("alias")).then_some(())?;
    Some((words.next()?, words.next()?))
}

/// The part of a path that patterns speak of: below `kernel/`, without `.ko` and its packing.
fn subject(path: &str) -> &str {
    let path = path.strip_prefix("kernel/").unwrap_or(path);
    path.find(".ko").map_or(path, |at| &path[..at])
}

fn matching(patterns: &str, paths: &BTreeSet<&str>, builtin: &str) -> Result<Vec<String>> {
    let mut chosen = BTreeSet::new();
    let mut unmatched = Vec::new();
    for (number, line) in (1..).zip(patterns.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Some(pattern) = line.strip_prefix('!') {
            chosen.retain(|path: &String| !glob(pattern, subject(path)));
            continue;
        }
        let (pattern, optional) = line
            .strip_prefix('?')
            .map_or((line, false), |rest| (rest, true));
        if pattern.contains(char::is_whitespace) {
            bail!("driver pattern, line {number}: {pattern:?} has a space; one pattern a line");
        }
        let found = paths.iter().filter(|path| glob(pattern, subject(path)));
        let found: Vec<String> = found.map(|path| (*path).to_owned()).collect();
        let is_built_in = || builtin.lines().any(|path| glob(pattern, subject(path)));
        if found.is_empty() && !optional && !is_built_in() {
            unmatched.push(format!("line {number}: {pattern}"));
        }
        chosen.extend(found);
    }
    if !unmatched.is_empty() {
        bail!(
            "these driver patterns match no module of this kernel and nothing built into it; \
             correct them, or mark them with ? if they may be missing: {}",
            unmatched.join(", ")
        );
    }
    Ok(chosen.into_iter().collect())
}

/// Matches `*` within one folder and `**` over any depth.
fn glob(pattern: &str, text: &str) -> bool {
    let Some(star) = pattern.find('*') else {
        return pattern == text;
    };
    let (head, tail) = pattern.split_at(star);
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    let (tail, crosses) = match tail.strip_prefix("**") {
        Some(tail) => (tail, true),
        None => (&tail[1..], false),
    };
    let limit = if crosses {
        rest.len()
    } else {
        rest.find('/').unwrap_or(rest.len())
    };
    (0..=limit)
        .filter(|at| rest.is_char_boundary(*at))
        .any(|at| glob(tail, &rest[at..]))
}

fn cut(indexes: &Indexes, modules: &BTreeSet<String>) -> Indexes {
    let names: BTreeSet<String> = modules.iter().map(|path| module_name(path)).collect();
    let keep = |text: &str, wanted: &dyn Fn(&str) -> bool| -> String {
        text.lines()
            .filter(|line| wanted(line))
            .flat_map(|line| [line, "\n"])
            .collect()
    };
    let word = |line: &str, at: usize| line.split_whitespace().nth(at).map(normalized);
    // modules.order of the package may name the files before they were packed.
    let stems: BTreeSet<&str> = modules.iter().map(|path| subject(path)).collect();
    Indexes {
        dep: keep(&indexes.dep, &|line| {
            line.split_once(':')
                .is_some_and(|(path, _)| modules.contains(path))
        }),
        alias: keep(&indexes.alias, &|line| {
            alias_line(line).is_some_and(|(_, module)| names.contains(&normalized(module)))
        }),
        softdep: keep(&indexes.softdep, &|line| {
            word(line, 1).is_some_and(|m| names.contains(&m))
        }),
        builtin: indexes.builtin.clone(),
        builtin_modinfo: indexes.builtin_modinfo.clone(),
        order: keep(&indexes.order, &|line| stems.contains(subject(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes() -> Indexes {
        Indexes {
            dep: "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz\n\
                  kernel/fs/jbd2/jbd2.ko.xz:\n\
                  kernel/crypto/crc32c_generic.ko.xz:\n\
                  kernel/arch/x86/crypto/crc32c-intel.ko.xz:\n\
                  kernel/drivers/net/phy/realtek.ko.xz:\n\
                  kernel/drivers/net/ethernet/realtek/r8169.ko.xz:\n\
                  kernel/drivers/net/wireless/iwl.ko.xz:\n"
                .into(),
            alias: "# a comment\n\
                    alias crypto-crc32c crc32c_intel\n\
                    alias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169\n\
                    alias pci:v00008086* iwl\n"
                .into(),
            softdep: "# a comment\nsoftdep ext4 pre: crypto-crc32c\nsoftdep r8169 pre: realtek\n"
                .into(),
            builtin: "kernel/drivers/video/fbdev/efifb.ko\n".into(),
            builtin_modinfo: String::new(),
            order: "kernel/fs/jbd2/jbd2.ko\nkernel/drivers/net/wireless/iwl.ko\n".into(),
        }
    }

    #[test]
    fn what_a_module_needs_comes_with_it_also_by_soft_dependency_and_alias() {
        let chosen = select("fs/ext4/*\ndrivers/net/ethernet/**\n", &indexes()).unwrap();
        let names: Vec<String> = chosen
            .modules
            .iter()
            .map(|path| module_name(path))
            .collect();
        assert_eq!(names, ["crc32c_intel", "r8169", "realtek", "ext4", "jbd2"]);
        assert!(!chosen.indexes.alias.contains("iwl"));
        assert!(chosen.indexes.alias.contains("8168"));
        assert_eq!(chosen.indexes.order, "kernel/fs/jbd2/jbd2.ko\n");
        assert_eq!(chosen.indexes.dep.lines().count(), 5);
    }

    #[test]
    fn a_pattern_without_a_match_stops_the_build_unless_it_may_be_missing() {
        let error = select("# head\ndrivers/nvme/*\n", &indexes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2: drivers/nvme/*"), "{error}");
        assert!(
            select("?drivers/nvme/*\n", &indexes())
                .unwrap()
                .modules
                .is_empty()
        );
        assert!(
            select("drivers/video/fbdev/efifb\n", &indexes())
                .unwrap()
                .modules
                .is_empty()
        );
    }

    #[test]
    fn a_star_stays_in_its_folder_and_two_do_not() {
        for (pattern, text, want) in [
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**/*_cs", "a/b/c_cs", true),
            ("a/i2c-*", "a/i2c-hid", true),
            ("a", "ab", false),
            ("*", "ä", true),
        ] {
            assert_eq!(glob(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_with_an_exclamation_mark_takes_away() {
        let chosen = select("drivers/net/**\n!drivers/net/wireless/*\n", &indexes()).unwrap();
        assert!(!chosen.modules.iter().any(|path| path.contains("iwl")));
    }

    #[test]
    fn the_list_that_ships_is_well_formed() {
        let list = include_str!("../data/drivers-amd64.list");
        let every = select(list, &Indexes::default()).unwrap_err().to_string();
        assert!(every.contains("drivers/nvme/host/*"), "{every}");
    }
}
