use burin_api::desired::DiskChoice;

use super::super::*;
use crate::host::{Bus, Disk, PartitionFact};

const GB: u64 = 1_000_000_000;

fn disk(name: &str, size: u64) -> Disk {
    Disk {
        name: name.to_owned(),
        serial: format!("S-{name}"),
        model: "ACME SSD".to_owned(),
        bus: Bus::Nvme,
        size,
        sector: 512,
        ..Disk::default()
    }
}

fn empty(name: &str) -> Candidate {
    Candidate {
        disk: disk(name, 120 * GB),
        content: Content::Empty,
    }
}

fn with(name: &str, content: Content) -> Candidate {
    Candidate {
        content,
        ..empty(name)
    }
}

fn foreign(name: &str) -> Candidate {
    with(name, Content::Foreign("ext".to_owned()))
}

fn half(operation: &str) -> Content {
    Content::Burin(BurinContent {
        identity: true,
        readable: true,
        operation: Some(operation.to_owned()),
        ..BurinContent::default()
    })
}

fn policy() -> Policy {
    Policy {
        least: 100 * GB,
        boot_medium: Some("sdz".to_owned()),
        ..Policy::default()
    }
}

fn choice(serial: &str, wipe: bool, reinstall: bool) -> Policy {
    Policy {
        choice: Some(DiskChoice {
            serial: serial.to_owned(),
            wipe,
            reinstall,
        }),
        ..policy()
    }
}

fn auto(candidates: &[Candidate], policy: &Policy) -> Result<(String, bool), Refusal> {
    choose(candidates, &Selector::Auto, policy).map(|c| (c.disk.name.clone(), c.resumes))
}

#[test]
fn the_only_empty_disk_is_chosen() {
    assert_eq!(
        auto(&[empty("nvme0n1")], &policy()),
        Ok(("nvme0n1".to_owned(), false))
    );
}

#[test]
fn two_disks_are_never_guessed_between() {
    let two = [empty("nvme0n1"), empty("nvme1n1")];
    let Err(Refusal::Several { count: 2, list }) = auto(&two, &policy()) else {
        panic!("must refuse");
    };
    assert!(
        list.contains("S-nvme0n1") && list.contains("S-nvme1n1"),
        "{list}"
    );
    // Not even when one of them holds data: the empty one may be the one that is waited for.
    assert!(matches!(
        auto(&[empty("a"), foreign("b")], &policy()),
        Err(Refusal::Several { .. })
    ));
    let wipe = Policy {
        existing: Existing::Wipe,
        ..policy()
    };
    assert!(matches!(auto(&two, &wipe), Err(Refusal::Several { .. })));
}

#[test]
fn medium_removable_held_small_and_read_only_disks_are_never_chosen() {
    let mut usb = empty("sda");
    usb.disk.bus = Bus::Usb;
    let mut held = empty("sdb");
    held.disk.holders = vec!["md0".to_owned()];
    let mut inside = empty("sdc");
    inside.disk.partitions = vec![PartitionFact {
        holders: vec!["dm-0".to_owned()],
        ..PartitionFact::default()
    }];
    let mut locked = empty("sdd");
    locked.disk.read_only = true;
    let mut small = empty("sde");
    small.disk.size = 100 * GB - 1;
    let medium = empty("sdz");
    for (bad, reason) in [
        (usb, "removable"),
        (held, "in use by md0"),
        (inside, "in use by dm-0"),
        (locked, "read-only"),
        (small, "smaller than 100 GB"),
        (medium, "the installer runs from it"),
    ] {
        let name = bad.disk.name.clone();
        let all = [bad.clone(), empty("nvme0n1")];
        assert_eq!(
            auto(&all, &policy()),
            Ok(("nvme0n1".to_owned(), false)),
            "{reason}"
        );
        let Err(Refusal::None { list }) = auto(std::slice::from_ref(&bad), &policy()) else {
            panic!("{reason}");
        };
        assert!(list.contains(reason), "{list}");
        // Not even when named.
        let named = Selector::Path(format!("/dev/{name}"));
        assert!(
            matches!(
                choose(std::slice::from_ref(&bad), &named, &policy()),
                Err(Refusal::NoMatch { .. })
            ),
            "{reason}"
        );
        assert!(
            choose(
                &[bad],
                &Selector::Auto,
                &choice(&format!("S-{name}"), true, true)
            )
            .is_err(),
            "{reason}"
        );
    }
    assert!(matches!(auto(&[], &policy()), Err(Refusal::None { .. })));
}

#[test]
fn foreign_data_is_erased_only_when_asked() {
    let all = [foreign("sda")];
    assert!(matches!(
        auto(&all, &policy()),
        Err(Refusal::Foreign { .. })
    ));
    let wipe = Policy {
        existing: Existing::Wipe,
        ..policy()
    };
    assert!(auto(&all, &wipe).is_ok());
    assert!(auto(&all, &choice("S-sda", true, false)).is_ok());
    assert!(matches!(
        auto(&all, &choice("S-sda", false, false)),
        Err(Refusal::Foreign { .. })
    ));
    assert!(matches!(
        auto(&all, &choice("S-other", true, true)),
        Err(Refusal::NoMatch { .. })
    ));
    let unreadable = [with("sda", Content::Unreadable("I/O error".to_owned()))];
    assert!(matches!(
        auto(&unreadable, &wipe),
        Err(Refusal::Unreadable { .. })
    ));
}

#[test]
fn a_live_host_is_erased_only_by_a_reinstallation() {
    let live = |change: fn(&mut BurinContent)| {
        let mut burin = BurinContent {
            readable: true,
            ..BurinContent::default()
        };
        change(&mut burin);
        [with("sda", Content::Burin(burin))]
    };
    for disk in [
        live(|b| b.identity = true),
        live(|b| b.ever_good = true),
        live(|b| b.installed = true),
        live(|b| b.readable = false),
    ] {
        let wipe = Policy {
            existing: Existing::Wipe,
            ..choice("S-sda", true, false)
        };
        for policy in [policy(), wipe] {
            assert!(auto(&disk, &policy).is_err_and(|r| r.is_live()), "{disk:?}");
        }
        assert!(auto(&disk, &choice("S-sda", false, true)).is_ok());
    }
    assert!(
        auto(&live(|_| {}), &policy()).is_ok(),
        "partitions alone are nobody's host"
    );
    let beside = [live(|b| b.identity = true)[0].clone(), empty("sdb")];
    assert!(auto(&beside, &policy()).is_err_and(|r| r.is_live()));
}

#[test]
fn only_the_same_installation_goes_on() {
    let going_on = Policy {
        operation: Some("op-1".to_owned()),
        ..policy()
    };
    let all = [with("sda", half("op-1")), empty("sdb")];
    assert_eq!(auto(&all, &going_on), Ok(("sda".to_owned(), true)));
    assert!(auto(&all[..1], &policy()).is_err_and(|r| r.is_live()));
    let other = Policy {
        operation: Some("op-2".to_owned()),
        ..policy()
    };
    assert!(auto(&all[..1], &other).is_err_and(|r| r.is_live()));
    let Content::Burin(burin) = half("op-1") else {
        panic!()
    };
    for done in [
        BurinContent {
            ever_good: true,
            ..burin.clone()
        },
        BurinContent {
            installed: true,
            ..burin
        },
    ] {
        assert!(auto(&[with("sda", Content::Burin(done))], &going_on).is_err_and(|r| r.is_live()));
    }
}

#[test]
fn selectors_narrow_and_still_never_guess() {
    let mut large = empty("nvme1n1");
    large.disk.size = 480 * GB;
    large.disk.wwn = "eui.1".to_owned();
    large.disk.links = vec!["/dev/disk/by-id/nvme-x".to_owned()];
    let mut slow = empty("sda");
    (slow.disk.rotational, slow.disk.bus, slow.disk.size) = (true, Bus::Ata, 4000 * GB);
    let all = [empty("nvme0n1"), large, slow];
    let fields = |change: &dyn Fn(&mut Fields)| {
        let mut fields = Fields::default();
        change(&mut fields);
        Selector::Fields(Box::new(fields))
    };
    for (selector, want) in [
        (
            fields(&|f| f.serial = Some("S-nvme0n1".into())),
            Some("nvme0n1"),
        ),
        (fields(&|f| f.wwn = Some("eui.1".into())), Some("nvme1n1")),
        (fields(&|f| f.min_size = Some(400 * GB)), None),
        (
            fields(&|f| {
                f.min_size = Some(400 * GB);
                f.ssd = Some(true);
            }),
            Some("nvme1n1"),
        ),
        (fields(&|f| f.pick = Some(Pick::Smallest)), Some("nvme0n1")),
        (fields(&|f| f.pick = Some(Pick::Largest)), Some("sda")),
        (fields(&|f| f.bus = Some("ata".into())), Some("sda")),
        (fields(&|f| f.model = Some("acme".into())), None),
        (fields(&|f| f.serial = Some("S-none".into())), None),
        (Selector::Path("/dev/nvme0n1".into()), Some("nvme0n1")),
        (
            Selector::Path("/dev/disk/by-id/nvme-x".into()),
            Some("nvme1n1"),
        ),
        (Selector::Path("/dev/sdq".into()), None),
    ] {
        let got = choose(&all, &selector, &policy());
        assert_eq!(
            got.as_ref().ok().map(|c| c.disk.name.as_str()),
            want,
            "{selector:?} {got:?}"
        );
    }
    let twins = [empty("nvme0n1"), empty("nvme1n1")];
    let smallest = fields(&|f| f.pick = Some(Pick::Smallest));
    assert!(matches!(
        choose(&twins, &smallest, &policy()),
        Err(Refusal::Several { .. })
    ));
    let unnamed = Candidate {
        disk: Disk {
            serial: String::new(),
            ..disk("a", 120 * GB)
        },
        content: Content::Empty,
    };
    assert!(choose(&[unnamed], &Selector::Auto, &choice("", true, true)).is_err());
}
