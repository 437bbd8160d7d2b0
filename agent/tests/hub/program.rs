//! The hub's program. It belongs to another package, so cargo does not build it for these tests.

use std::path::{Path, PathBuf};
use std::process::Command;
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
