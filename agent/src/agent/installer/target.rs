//! The disk to install on: by the rules, or the one that this life has begun with.

use burin_api::desired::Desired;
use burin_core::host::Disk;
use burin_core::layout::{
    Candidate, Content, Guids, Layout, Policy, Refusal, choose, compute, least_disk,
};
use burin_core::userdata::Install;

use super::Installer;
use crate::agent::disks::Found;
use crate::perform::random_uuid;

/// The disk to work on.
pub(super) struct Target {
    pub(super) disk: Disk,
    pub(super) layout: Layout,
    /// What its table says now, when it is the wanted one.
    pub(super) found: Option<Layout>,
}

/// The refusal of a machine whose disk carries an installed host, before anybody decided otherwise.
pub(super) fn live(
    found: &[Found],
    install: &Install,
    boot_medium: Option<String>,
) -> Option<Refusal> {
    let policy = Policy {
        boot_medium,
        least: least_disk(install.system_size),
        existing: install.existing,
        ..Policy::default()
    };
    let candidates: Vec<Candidate> = found.iter().map(|it| it.candidate.clone()).collect();
    let refusal = choose(&candidates, &install.device, &policy).err()?;
    let finished = candidates.iter().any(|it| {
        matches!(&it.content, Content::Burin(content) if content.installed || content.ever_good)
    });
    (refusal.is_live() && finished).then_some(refusal)
}

impl Installer {
    /// Chooses the disk and its partitions, or says why nothing is chosen.
    pub(super) fn target(
        &mut self,
        found: &[Found],
        desired: &Desired,
        boot_medium: Option<String>,
    ) -> Result<Target, Refusal> {
        let install = &self.given.data.install;
        let policy = Policy {
            boot_medium,
            least: least_disk(install.system_size),
            existing: install.existing,
            operation: Some(self.operation.clone()),
            choice: desired.disk.clone(),
        };
        let candidates: Vec<Candidate> = found.iter().map(|it| self.candidate(it)).collect();
        let chosen = choose(&candidates, &install.device, &policy)?;
        let disk = chosen.disk.clone();
        let there = found.iter().find(|it| it.candidate.disk.name == disk.name);
        let there = there.and_then(|it| it.layout.clone());
        if let Some(layout) = self.layout.clone().filter(|it| it.disk == disk.node()) {
            let same = there.is_some_and(|there| same_partitions(&there, &layout));
            return Ok(Target {
                disk,
                found: same.then(|| layout.clone()),
                layout,
            });
        }
        let layout = self.fresh(&disk)?;
        self.layout = Some(layout.clone());
        Ok(Target {
            disk,
            layout,
            found: None,
        })
    }

    /// A disk that this very life has partitioned carries our operation, also before its record is
    /// on it.
    fn candidate(&self, found: &Found) -> Candidate {
        let mut candidate = found.candidate.clone();
        let ours = match (&self.layout, &found.layout) {
            (Some(ours), Some(there)) => same_partitions(ours, there),
            _ => false,
        };
        if let Content::Burin(content) = &mut candidate.content
            && ours
            && content.operation.is_none()
        {
            content.operation = Some(self.operation.clone());
            content.readable = true;
        }
        candidate
    }

    fn fresh(&self, disk: &Disk) -> Result<Layout, Refusal> {
        let wrong = |cause: String| Refusal::Unreadable {
            disk: disk.node(),
            cause,
        };
        let guid = || random_uuid().map_err(|err| wrong(err.to_string()));
        let guids = Guids {
            disk: self.operation.clone(),
            esp: guid()?,
            system: guid()?,
            data: guid()?,
        };
        let size = self.given.data.install.system_size;
        compute(&disk.node(), disk.size, disk.sector, size, &guids)
            .map_err(|err| wrong(err.to_string()))
    }
}

fn same_partitions(a: &Layout, b: &Layout) -> bool {
    (&a.esp, &a.system, &a.data) == (&b.esp, &b.system, &b.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_core::layout::BurinContent;

    fn found(name: &str, content: Content) -> Found {
        Found {
            candidate: Candidate {
                disk: Disk {
                    name: name.to_owned(),
                    size: 200_000_000_000,
                    sector: 512,
                    ..Disk::default()
                },
                content,
            },
            layout: None,
        }
    }

    fn burin(identity: bool, installed: bool) -> Content {
        Content::Burin(BurinContent {
            identity,
            installed,
            readable: true,
            operation: Some("operation".to_owned()),
            ..BurinContent::default()
        })
    }

    #[test]
    fn only_an_installed_host_is_sent_home() {
        for (disks, want) in [
            (vec![found("vda", Content::Empty)], false),
            (vec![found("vda", burin(true, true))], true),
            (
                vec![
                    found("vda", burin(true, true)),
                    found("vdb", Content::Empty),
                ],
                true,
            ),
            // A half-finished installation is gone on with.
            (vec![found("vda", burin(true, false))], false),
            (vec![found("vda", burin(false, false))], false),
            (
                vec![found("vda", Content::Foreign("ext4".to_owned()))],
                false,
            ),
        ] {
            let refusal = live(&disks, &Install::default(), None);
            assert_eq!(refusal.is_some(), want, "{disks:?}");
        }
    }
}
