//! The package tree that an ISO is built from: fetched by apt into a root of its own, never
//! installed, kept in a cache whose name is the digest of the package list.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::mirror::{Mirror, SUITE};

/// Packages by name; `linux-image-amd64` stands for the kernel it depends on.
const PACKAGES: [&str; 14] = [
    "linux-image-amd64",
    "e2fsprogs",
    "libblkid1",
    "libc6",
    "libcom-err2",
    "libext2fs2t64",
    "libuuid1",
    "systemd-boot-efi",
    "systemd-boot-efi-amd64-signed",
    "shim-signed",
    "shim-helpers-amd64-signed",
    "shim-unsigned",
    "console-setup-linux",
    "ca-certificates",
];
const KERNEL: &str = "linux-image-amd64";
/// Written last into a tree, so that one without it is known to be half made.
const LIST: &str = ".burin-packages";

/// One file that apt would download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// File name, which carries name, version and architecture.
    pub file: String,
    /// Digest as the signed index of the mirror gives it, with its algorithm in front.
    pub digest: String,
}

/// The cache folder: `$XDG_CACHE_HOME/burin` or `~/.cache/burin`.
///
/// # Errors
/// Neither variable is set.
pub fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let base =
        base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base
        .context("finding the cache: neither XDG_CACHE_HOME nor HOME is set")?
        .join("burin"))
}

/// Makes the package tree in `cache` if it is not there yet, and returns its path.
///
/// # Errors
/// apt, dpkg-deb or depmod is missing or fails, or the mirror lacks a package.
pub fn ensure_tree(mirror: &Mirror, cache: &Path) -> Result<PathBuf> {
    let work = cache.join("apt");
    let apt = Apt::new(mirror, &work)?;
    apt.run(&["update", "-qq"])
        .with_context(|| format!("reading the package lists of {SUITE}"))?;
    let mut names: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    names.retain(|name| name != KERNEL);
    names.push(apt.kernel_package()?);
    let mut arguments = vec!["download", "--print-uris"];
    arguments.extend(names.iter().map(String::as_str));
    let mut downloads = parse_uris(&apt.run(&arguments)?)?;
    ensure!(
        downloads.len() == names.len(),
        "the mirror offers {} of {} packages",
        downloads.len(),
        names.len()
    );
    downloads.sort_by(|one, other| one.file.cmp(&other.file));
    let list: String = downloads
        .iter()
        .map(|one| format!("{} {}\n", one.digest, one.file))
        .collect();
    let key = hex::encode(&Sha256::digest(list.as_bytes())[..16]);
    let tree = cache.join("packages").join(key);
    if !tree.join(LIST).exists() {
        let folder = tree.parent().context("the cache has a parent")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let made = tempfile::Builder::new()
            .prefix(".making-")
            .tempdir_in(folder)?;
        fill(&apt, &names, made.path())?;
        fs::write(made.path().join(LIST), &list).context("writing the package list")?;
        match fs::rename(made.path(), &tree) {
            Ok(()) => drop(made.keep()),
            // Another process was quicker; its tree has the same content.
            Err(_) if tree.join(LIST).exists() => {}
            Err(error) => return Err(error).with_context(|| format!("making {}", tree.display())),
        }
    }
    Ok(tree)
}

/// The digest of what the mirror offers: of its signed list of lists (`InRelease`).
///
/// # Errors
/// The mirror cannot be read.
pub fn suite_digest(mirror: &Mirror, cache: &Path) -> Result<String> {
    let work = cache.join("apt");
    let apt = Apt::new(mirror, &work)?;
    apt.run(&["update", "-qq"])
        .with_context(|| format!("reading the package lists of {SUITE}"))?;
    let lists = work.join("lists");
    for entry in fs::read_dir(&lists).with_context(|| format!("reading {}", lists.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("InRelease") {
            let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            return Ok(hex::encode(Sha256::digest(bytes)));
        }
    }
    bail!("apt kept no signed list of {SUITE} in {}", lists.display())
}

fn fill(apt: &Apt, names: &[String], tree: &Path) -> Result<()> {
    let debs = tempfile::tempdir_in(&apt.work).context("making a folder for downloads")?;
    let mut arguments = vec!["download", "-qq"];
    arguments.extend(names.iter().map(String::as_str));
    apt.run_in(debs.path(), &arguments)
        .context("downloading packages")?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(debs.path())? {
        files.push(entry?.path());
    }
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "deb"))
    {
        run(Command::new("dpkg-deb").arg("-x").arg(file).arg(tree))
            .with_context(|| format!("extracting {}", file.display()))?;
    }
    // depmod looks below lib/, where merged packages have nothing.
    if !tree.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", tree.join("lib")).context("linking lib")?;
    }
    let release = kernel_release(tree)?;
    let depmod = ["/usr/sbin/depmod", "/sbin/depmod"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let depmod = depmod.context("depmod is missing: install the package kmod")?;
    run(Command::new(depmod).arg("-b").arg(tree).arg(&release)).context("indexing the modules")?;
    Ok(())
}

/// The one kernel release in a package tree.
///
/// # Errors
/// There is none, or more than one.
pub fn kernel_release(tree: &Path) -> Result<String> {
    let folder = tree.join("usr/lib/modules");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        _ => bail!(
            "{} has {} kernels, expected one: {found:?}",
            folder.display(),
            found.len()
        ),
    }
}

/// Reads the lines of `apt-get download --print-uris`: `'uri' file size algorithm:digest`.
fn parse_uris(text: &str) -> Result<Vec<Download>> {
    let lines = text.lines().filter(|line| line.starts_with('\''));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [_, file, _, digest] if digest.contains(':') => Ok(Download {
                    file: (*file).to_owned(),
                    digest: (*digest).to_owned(),
                }),
                _ => bail!("apt said {line:?}, expected a file with size and digest"),
            }
        })
        .collect()
}

/// apt with a configuration, lists and state of its own: nothing of the machine's is touched.
struct Apt {
    work: PathBuf,
    configuration: PathBuf,
    /// Held while apt may write its lists: two builds at once would trip over each other.
    _lock: fs::File,
}

impl Apt {
    fn new(mirror: &Mirror, work: &Path) -> Result<Self> {
        for folder in [
            "lists/partial",
            "cache/archives/partial",
            "etc/apt.conf.d",
            "etc/preferences.d",
        ] {
            fs::create_dir_all(work.join(folder))
                .with_context(|| format!("making {folder} in {}", work.display()))?;
        }
        let source = format!(
            "deb [signed-by={}] {} {SUITE} main\n",
            mirror.keyring.display(),
            mirror.url
        );
        let text = format!(
            "Dir \"{0}\";\nDir::State \"{0}\";\nDir::State::status \"{0}/status\";\n\
             Dir::State::lists \"{0}/lists\";\nDir::Cache \"{0}/cache\";\nDir::Etc \"{0}/etc\";\n\
             Dir::Etc::sourcelist \"{0}/etc/sources.list\";\nDir::Etc::sourceparts \"-\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\n\
             APT::Sandbox::User \"\";\nAcquire::Languages \"none\";\nAcquire::Retries \"3\";\n",
            work.display()
        );
        let lock = fs::File::create(work.join("lock")).context("making apt's lock file")?;
        lock.lock().context("waiting for another build's apt")?;
        let configuration = work.join("apt.conf");
        for (path, content) in [
            (work.join("etc/sources.list"), &source),
            (configuration.clone(), &text),
            (work.join("status"), &String::new()),
        ] {
            fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Self {
            work: work.to_owned(),
            configuration,
            _lock: lock,
        })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_in(&self.work, arguments)
    }

    fn run_in(&self, folder: &Path, arguments: &[&str]) -> Result<String> {
        run(Command::new("apt-get")
            .args(arguments)
            .current_dir(folder)
            .env("APT_CONFIG", &self.configuration))
    }

    /// The package that [`KERNEL`] depends on.
    fn kernel_package(&self) -> Result<String> {
        let mut command = Command::new("apt-cache");
        command
            .args(["depends", "--important", KERNEL])
            .env("APT_CONFIG", &self.configuration);
        let text = run(&mut command).context("asking for the kernel package")?;
        let name = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "));
        let name = name.filter(|name| name.starts_with("linux-image-"));
        name.map(str::to_owned)
            .with_context(|| format!("{KERNEL} names no kernel package: {text}"))
    }
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// It cannot be started, or fails: the error carries what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .with_context(|| format!("running {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} failed ({}): {}",
        output.status,
        errors.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_prints_is_read_with_its_digests() {
        let text = "Get: noise\n'http://m.example/l.deb' l_1_amd64.deb 25036 SHA256:00ff\n";
        let want = Download {
            file: "l_1_amd64.deb".into(),
            digest: "SHA256:00ff".into(),
        };
        assert_eq!(parse_uris(text).unwrap(), [want]);
        assert!(parse_uris("'http://m.example/l.deb' l.deb 3\n").is_err());
    }

    #[test]
    fn a_tree_with_two_kernels_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        for (release, is_good) in [("6.12.1", true), ("6.12.2", false)] {
            fs::create_dir_all(tree.path().join("usr/lib/modules").join(release)).unwrap();
            assert_eq!(kernel_release(tree.path()).is_ok(), is_good);
        }
    }
}
