//! The libraries that programs of a package tree need at run time.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
pub use burin_core::elf::needs;

/// Where a Debian package tree keeps shared libraries, in order of search.
const LIBRARY_FOLDERS: [&str; 4] = [
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/lib",
];

/// The dynamic loader and every library that `programs` (absolute paths in `root`) need, as a
/// map from absolute path to the file in `root` that belongs there.
///
/// # Errors
/// A program or a library is missing in `root` or is no ELF file.
pub fn closure(root: &Path, programs: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut queue = Vec::new();
    for program in programs {
        queue.push(root.join(program.trim_start_matches('/')));
    }
    while let Some(file) = queue.pop() {
        let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let needs = needs(&bytes).with_context(|| format!("reading {}", file.display()))?;
        let interpreter = needs.interpreter.into_iter();
        for name in needs.libraries.into_iter().chain(interpreter) {
            let (path, source) =
                locate(root, &name).with_context(|| format!("{} needs {name}", file.display()))?;
            if found.insert(path, source.clone()).is_none() {
                queue.push(source);
            }
        }
    }
    Ok(found)
}

fn locate(root: &Path, name: &str) -> Result<(String, PathBuf)> {
    let base = name.rsplit('/').next().unwrap_or(name);
    for folder in LIBRARY_FOLDERS {
        let file = root.join(folder).join(base);
        if file.exists() {
            let path = if name.starts_with('/') {
                name.to_owned()
            } else {
                format!("/{folder}/{base}")
            };
            return Ok((path, file));
        }
    }
    anyhow::bail!(
        "no library {base} in {}; a package is missing there",
        root.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_program_names_its_loader_and_the_c_library() {
        let needs = needs(&std::fs::read("/bin/ls").unwrap()).unwrap();
        assert!(needs.interpreter.unwrap().contains("ld-linux"), "no loader");
        assert!(
            needs.libraries.iter().any(|name| name == "libc.so.6"),
            "{:?}",
            needs.libraries
        );
    }
}
