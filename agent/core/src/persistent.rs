//! What survives a new generation, declared once: a reset names the classes that it wipes.

/// To whom the content of a persistent path belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The system's own state.
    Os,
    /// Membership in a cluster, its certificates and its network.
    Cluster,
    /// Volumes and images of workloads.
    Content,
    /// What people put there.
    User,
}

/// A directory bound from the data partition over the read-only root or over the rendered `/etc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistent {
    /// Without a leading slash.
    pub path: &'static str,
    pub class: Class,
    pub refresh: Refresh,
}

/// What happens to files that the image has at a persistent path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// They seed the path once; later the host's own content counts.
    Seed,
    /// Every generation lays its own files there again: programs that must fit the generation.
    EachGeneration,
}

const fn seed(path: &'static str, class: Class) -> Persistent {
    Persistent {
        path,
        class,
        refresh: Refresh::Seed,
    }
}

/// All persistent paths but `/var`, which is a rule of its own.
pub const PERSISTENT: [Persistent; 8] = [
    seed("etc/kubernetes", Class::Cluster),
    seed("etc/rancher/node", Class::Cluster),
    seed("etc/cni", Class::Cluster),
    seed("etc/iscsi", Class::Os),
    seed("etc/ceph", Class::Os),
    seed("home", Class::User),
    seed("root", Class::User),
    Persistent {
        path: "opt/cni/bin",
        class: Class::Cluster,
        refresh: Refresh::EachGeneration,
    },
];

/// Folders that must be in the sealed root, because they cannot be made at boot.
pub fn mount_points() -> impl Iterator<Item = &'static str> {
    PERSISTENT
        .iter()
        .map(|one| one.path)
        .filter(|path| !path.starts_with("etc/"))
        .chain(["var", "usr/lib/burin", "dev", "proc", "run", "sys", "tmp"])
}

/// Whether a path of user-data (`install.bind_mounts`) may be bound: absolute, plain, and not over
/// what the generation itself verifies or renders.
#[must_use]
pub fn may_be_bound(path: &str) -> bool {
    const SEALED: [&str; 9] = [
        "usr", "bin", "sbin", "lib", "lib64", "boot", "dev", "proc", "sys",
    ];
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let mut parts = below.split('/').peekable();
    let sealed = parts
        .peek()
        .is_none_or(|first| SEALED.contains(first) || *first == "run");
    !sealed && below != "etc" && parts.all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_verified_cannot_be_hidden() {
        for (path, want) in [
            ("/srv", true),
            ("/etc/vendor", true),
            ("/opt/app/data", true),
            ("/etc", false),
            ("/usr/local", false),
            ("/run/burin", false),
            ("/srv/../usr", false),
            ("srv", false),
            ("/", false),
            ("/srv//x", false),
        ] {
            assert_eq!(may_be_bound(path), want, "{path}");
        }
    }

    #[test]
    fn no_persistent_path_lies_in_another() {
        for one in &PERSISTENT {
            for other in &PERSISTENT {
                assert!(
                    one == other || !one.path.starts_with(&format!("{}/", other.path)),
                    "{} in {}",
                    one.path,
                    other.path
                );
            }
        }
    }
}
