//! The hub's program, and a hub that runs. It belongs to another package, so cargo does not build it for these tests.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Where the hub's program lies. After a build of all tests that is all there is to know; in a run of
/// this package alone it is built first, as such a run would build it.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap().to_owned();
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--workspace", "--bin", "burin-hub"])
            // Some test, no matter which: with one, cargo unites the features of what tests need, too,
            // and what a run of all tests has compiled is good for this.
            .args(["--test", "protocol"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        // What cargo tells a test about its package. Build scripts ask for the same names, and each
        // would think that it was moved: they and all above them would be built again, now and in the
        // next run.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        let built = build.status().unwrap();
        assert!(built.success(), "burin-hub does not build");
        profile.join("burin-hub")
    })
}

/// Starts a hub that hosts call each second. Where it listens, once it does.
pub(crate) fn serve(data: &Path, listen: &str, arguments: &[String]) -> (Child, String) {
    let mut child = Command::new(program())
        .args(["--json", "--data"])
        .arg(data)
        .args(["serve", "--interval", "1", "--listen", listen])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, ready["listen"].as_str().unwrap().to_owned())
}
