//! The real packages: what the ISO must drive, how large it may be, and that a second build
//! elsewhere gives the same bytes. Fetches 120 MB from the machine's mirror at the first run.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use burin_core::modules::{IndexFiles, ModuleIndex};
use burin_iso::build::DRIVERS;
use burin_iso::cpio::{Archive, Content};
use burin_iso::initramfs::{self, BuildInfo};
use burin_iso::{mirror, packages};

/// Modaliases of machines as they are sold, and the module that must serve each.
const MACHINES: [(&str, &str); 51] = [
    (
        "pci:v0000144Dd0000A808sv0000144Dsd0000A801bc01sc08i02",
        "nvme",
    ),
    (
        "pci:v00008086d0000467Fsv00008086sd00000000bc01sc04i00",
        "vmd",
    ),
    (
        "pci:v00008086d0000A352sv00001028sd0000089Bbc01sc06i01",
        "ahci",
    ),
    (
        "pci:v00001000d00000016sv00001028sd00001FCBbc01sc04i00",
        "megaraid_sas",
    ),
    (
        "pci:v00001000d00000097sv00001028sd00001F45bc01sc07i00",
        "mpt3sas",
    ),
    (
        "pci:v00001000d000000A5sv00001000sd00004600bc01sc04i00",
        "mpi3mr",
    ),
    (
        "pci:v00009005d0000028Fsv0000103Csd00000600bc01sc07i00",
        "smartpqi",
    ),
    (
        "pci:v0000103Cd00003239sv0000103Csd000021BDbc01sc04i00",
        "hpsa",
    ),
    (
        "pci:v00009005d0000028Dsv00009005sd00000557bc01sc04i00",
        "aacraid",
    ),
    (
        "pci:v000017D3d00001880sv000017D3sd00001880bc01sc04i00",
        "arcmsr",
    ),
    (
        "pci:v00001000d00000054sv000015ADsd00001976bc01sc07i00",
        "mptsas",
    ),
    (
        "pci:v00001077d00002532sv00001077sd0000015Dbc0Csc04i00",
        "qla2xxx",
    ),
    (
        "pci:v000010DFd0000E300sv000010DFsd0000E310bc0Csc04i00",
        "lpfc",
    ),
    (
        "pci:v00008086d00000F16sv00008086sd00007270bc08sc05i01",
        "sdhci_pci",
    ),
    ("acpi:80860F14:INT33BB:", "sdhci_acpi"),
    ("mmc:block", "mmc_block"),
    ("scsi:t-0x00", "sd_mod"),
    ("scsi:t-0x05", "sr_mod"),
    (
        "pci:v00008086d0000A36Dsv00001028sd0000089Bbc0Csc03i30",
        "xhci_pci",
    ),
    (
        "usb:v0781p5581d0100dc00dsc00dp00ic08isc06ip50in00",
        "usb_storage",
    ),
    ("usb:v174Cp55AAd0100dc00dsc00dp00ic08isc06ip62in00", "uas"),
    (
        "usb:v046DpC31Cd6400dc00dsc00dp00ic03isc01ip01in00",
        "usbhid",
    ),
    ("hid:b0003g0001v0000046Dp0000C31C", "hid_generic"),
    ("virtio:d00000001v00001AF4", "virtio_net"),
    ("virtio:d00000002v00001AF4", "virtio_blk"),
    ("virtio:d00000008v00001AF4", "virtio_scsi"),
    ("vmbus:d96361baa104294db60572e2ffb1dc7f", "hv_storvsc"),
    ("vmbus:635161f83edfc546913ff2d2f965ed0e", "hv_netvsc"),
    (
        "pci:v000015ADd000007C0sv000015ADsd000007C0bc01sc07i00",
        "vmw_pvscsi",
    ),
    (
        "pci:v000015ADd000007B0sv000015ADsd000007B0bc02sc00i00",
        "vmxnet3",
    ),
    ("xen:vbd", "xen_blkfront"),
    (
        "pci:v00008086d0000100Fsv000015ADsd00000750bc02sc00i00",
        "e1000",
    ),
    (
        "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00",
        "e1000e",
    ),
    (
        "pci:v00008086d00001533sv00008086sd00000003bc02sc00i00",
        "igb",
    ),
    (
        "pci:v00008086d000015F3sv00008086sd00000000bc02sc00i00",
        "igc",
    ),
    (
        "pci:v00008086d000010FBsv00008086sd00000003bc02sc00i00",
        "ixgbe",
    ),
    (
        "pci:v00008086d00001572sv00008086sd00000007bc02sc00i00",
        "i40e",
    ),
    (
        "pci:v00008086d00001592sv00008086sd00000002bc02sc00i00",
        "ice",
    ),
    (
        "pci:v000010ECd00008168sv000010ECsd00008168bc02sc00i00",
        "r8169",
    ),
    (
        "pci:v000010ECd00008125sv000010ECsd00000123bc02sc00i00",
        "r8169",
    ),
    (
        "pci:v000014E4d00001657sv0000103Csd0000169Dbc02sc00i00",
        "tg3",
    ),
    (
        "pci:v000014E4d00001639sv00001028sd00000235bc02sc00i00",
        "bnx2",
    ),
    (
        "pci:v000014E4d0000168Esv0000103Csd00001930bc02sc00i00",
        "bnx2x",
    ),
    (
        "pci:v000014E4d000016D7sv000014E4sd00001402bc02sc00i00",
        "bnxt_en",
    ),
    (
        "pci:v000015B3d00001007sv000015B3sd00000006bc02sc00i00",
        "mlx4_core",
    ),
    (
        "pci:v000015B3d00001017sv000015B3sd00000006bc02sc00i00",
        "mlx5_core",
    ),
    (
        "pci:v000011ABd00004364sv000011ABsd00004364bc02sc00i00",
        "sky2",
    ),
    (
        "pci:v00001D6Ad0000D107sv00001D6Asd00000001bc02sc00i00",
        "atlantic",
    ),
    (
        "pci:v00001D0Fd0000EC20sv00001D0Fsd0000EC20bc02sc00i00",
        "ena",
    ),
    ("usb:v0BDAp8153d3000dc00dsc00dp00icFFiscFFip00in00", "r8152"),
    (
        "usb:v0B95p1790d0100dcFFdscFFdp00icFFiscFFip00in00",
        "ax88179_178a",
    ),
];
/// What the installer mounts, hashes with or sends through.
const ALWAYS: [&str; 16] = [
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_iso8859_1",
    "nls_ascii",
    "erofs",
    "overlay",
    "isofs",
    "loop",
    "crc32c_generic",
    "crc32c_intel",
    "sha512_ssse3",
    "efivarfs",
    "af_packet",
    "tpm_crb",
    "tpm_tis",
];
/// What an ISO may weigh, in bytes.
const LIMIT: u64 = 56 << 20;

/// A static program without content.
fn stub() -> Vec<u8> {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    program
}

#[test]
fn every_machine_finds_its_drivers_in_the_initramfs() {
    let tree = package_tree();
    let info = BuildInfo {
        version: "0",
        epoch: 0,
    };
    let parts = initramfs::collect(&tree, &stub(), DRIVERS, &info).unwrap();
    let text = |name: &str| {
        let path = format!("usr/lib/modules/{}/modules.{name}", parts.release);
        match &parts.rest.get(&path).unwrap().content {
            Content::File(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("{path} is {other:?}"),
        }
    };
    let [dep, alias, softdep, builtin, modinfo] =
        ["dep", "alias", "softdep", "builtin", "builtin.modinfo"].map(text);
    let index = ModuleIndex::parse(&IndexFiles {
        dep: &dep,
        alias: &alias,
        softdep: &softdep,
        builtin: &builtin,
        builtin_modinfo: &modinfo,
    });
    let mut missing = Vec::new();
    for (modalias, module) in MACHINES {
        if !index.matching(modalias).iter().any(|found| found == module) {
            missing.push(format!(
                "{modalias} wants {module}, found {:?}",
                index.matching(modalias)
            ));
        }
    }
    missing.extend(
        ALWAYS
            .iter()
            .filter(|name| !index.is_known(name))
            .map(|name| (*name).to_owned()),
    );
    assert!(missing.is_empty(), "{missing:#?}");
    let packed = |path: &str| {
        let path = format!("usr/lib/modules/{}/{path}", parts.release);
        parts.modules.get(&path).is_some()
    };
    for (modalias, _) in MACHINES {
        let order = index.load_order(modalias);
        assert!(
            order.iter().all(|path| packed(path)),
            "{modalias}: {order:?}"
        );
    }
    tools_are_whole(&parts.rest);
}

/// Each program's loader and libraries must lie where the program looks.
fn tools_are_whole(rest: &Archive) {
    for program in ["usr/sbin/mke2fs", "usr/sbin/e2fsck"] {
        let Content::File(bytes) = &rest.get(program).unwrap().content else {
            panic!("{program}")
        };
        let needs = burin_iso::elf::needs(bytes).unwrap();
        assert!(
            rest.get(&format!("usr{}", needs.interpreter.unwrap()))
                .is_some(),
            "{program}"
        );
        for library in needs.libraries {
            let path = format!("usr/lib/x86_64-linux-gnu/{library}");
            assert!(rest.get(&path).is_some(), "{program} needs {path}");
        }
    }
}

/// How and by whom a build is run.
struct Circumstances {
    umask: &'static str,
    zone: &'static str,
    as_nobody: bool,
}

/// Builds in `folder` from a copy of the package tree: where that lay and who made it must not
/// matter either.
fn build(folder: &Path, under: &Circumstances) -> Vec<u8> {
    let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    let agent = folder.join("burin");
    fs::write(&agent, [stub(), vec![0x5a; 1000]].concat()).unwrap();
    let (tree, iso) = (folder.join("tree"), folder.join("burin.iso"));
    done(Command::new("cp").arg("-a").arg(package_tree()).arg(&tree));
    let script = format!("umask {}; exec \"$0\" \"$@\"", under.umask);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_burin-iso"));
    shell
        .args(["build", "--agent"])
        .arg(agent)
        .arg("--packages")
        .arg(&tree);
    shell.arg("--out").arg(&iso).env("TZ", under.zone);
    shell.env_remove("SOURCE_DATE_EPOCH");
    // Only root may run a program as somebody else.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if under.as_nobody && is_root {
        done(
            Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(folder),
        );
        shell.uid(65534).gid(65534);
    }
    let output = shell.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::read(&iso).unwrap()
}

fn package_tree() -> PathBuf {
    let mirror = mirror::of_this_machine().unwrap();
    packages::ensure_tree(&mirror, &packages::cache().unwrap()).unwrap()
}

#[test]
fn the_iso_of_the_real_packages_is_small_whole_and_the_same_twice() {
    let one = tempfile::tempdir().unwrap();
    let two = tempfile::Builder::new().prefix("b b").tempdir().unwrap();
    let first = build(
        one.path(),
        &Circumstances {
            umask: "022",
            zone: "UTC",
            as_nobody: false,
        },
    );
    assert!(first.len() as u64 <= LIMIT, "{} bytes", first.len());
    let elsewhere = Circumstances {
        umask: "077",
        zone: "America/St_Johns",
        as_nobody: true,
    };
    assert!(
        first == build(two.path(), &elsewhere),
        "the two ISOs differ"
    );
    let told = burin_iso::inspect::inspect(&one.path().join("burin.iso")).unwrap();
    assert_eq!(told.problems, Vec::<String>::new());
    assert_eq!(told.entries.len(), 3);
}
