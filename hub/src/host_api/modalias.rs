//! Which of a host's devices no module of a release drives.

use burin_core::modules::modalias_matches;

/// The modaliases that match none of the patterns, in their order, without repeats.
pub(super) fn unserved(modaliases: &[String], patterns: &[String]) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for alias in modaliases {
        let served = patterns
            .iter()
            .any(|pattern| modalias_matches(pattern, alias));
        if !served && !missing.contains(alias) {
            missing.push(alias.clone());
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_devices_without_a_driver_are_named_and_once() {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let found = unserved(&texts(&["pci:a", "pci:b", "pci:b"]), &texts(&["pci:a*"]));
        assert_eq!(found, ["pci:b"]);
    }
}
