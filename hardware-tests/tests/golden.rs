//! The job end to end: an empty machine, the ISO as a stick, and nobody touches anything.
//! About 3 minutes under software emulation; every scenario of an installed host starts from its disk.

use anyhow::{Context, Result};
use burin_core::cost::Cost;
use burin_hardware_tests::{
    artifacts::{Artifacts, Profile},
    bench::machine::{MOST_MEMORY, MOST_WRITTEN},
    golden::{self, Copy},
    person::Person,
    register::matcher,
    scenario,
};

#[test]
fn an_empty_machine_becomes_a_running_host_and_comes_back_after_a_shutdown() -> Result<()> {
    let golden = golden::ready(&Artifacts::build(Profile::Thin)?)?;
    let host = &golden.host;
    assert_eq!(host["state"], "accepted", "{host}");
    assert_eq!(host["observed"]["generation"], 1, "{host}");
    let digest = host["observed"]["root_digest"]
        .as_str()
        .and_then(|digest| digest.strip_prefix("v1-sha512-12:"))
        .context("no digest of the root")?;
    assert_eq!(digest.len(), 128, "SHA-512 in hex: {digest}");
    let steps = [
        "partition",
        "filesystems",
        "identity",
        "recovery",
        "pull",
        "seal",
        "generation",
        "kernel",
        "entry",
        "reboot",
        "kubernetes",
        "health",
        "good",
    ];
    let mut rest = golden.console.as_str();
    for step in steps {
        let line = format!("burin: step {step} done");
        let at = rest
            .find(&line)
            .with_context(|| format!("{line:?} does not follow\n{}", golden.console))?;
        rest = &rest[at..];
    }
    let wrong = |line: &&str| {
        line.contains("panicked")
            || line.contains("ended unexpectedly")
            || line.starts_with("burin: corruption")
            || (line.starts_with("burin: step") && line.contains(" failed"))
    };
    let first = golden.console.lines().find(wrong);
    assert_eq!(first, None, "{}", golden.console);

    let cost = Cost::find(&golden.console).context("the installer told no cost")?;
    let memory = cost.memory as f64 / f64::from(1 << 20);
    assert!(memory < MOST_MEMORY, "{memory:.1} MiB of memory were held");
    let written = cost.written as f64 / cost.content as f64;
    assert!(written <= MOST_WRITTEN, "{written:.2} x were written");

    scenario::tell("golden-again", |folder| {
        let mut installed = golden::installed(folder, Copy::Overlay)?;
        installed.boot()?;
        let again = installed.machine_console()?;
        assert!(!again.contains("burin: step partition"), "{again}");
        assert!(!again.contains("burin: step pull"), "{again}");
        let hub = &installed.site.hub;
        assert_eq!(matcher(hub)?, "token");
        let operator = Person::operator(hub, folder)?;
        operator.open("/hosts")?;
        operator.browser.sees("running")?;
        operator.browser.keep("token-running")?;
        operator.browser.quit()
    })
}
