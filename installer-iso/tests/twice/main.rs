//! Building from a small package tree of the real shape: equal inputs give equal bytes, and bad
//! input builds nothing.
#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
mod custom;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TOOL: &str = env!("CARGO_BIN_EXE_burin-iso");
const RELEASE: &str = "6.12.1-test";

/// A package tree with everything the builder looks for, a static agent and a driver list.
fn inputs(folder: &Path) -> PathBuf {
    let tree = folder.join("packages");
    let put = |path: &str, bytes: &[u8]| {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put(&format!("boot/vmlinuz-{RELEASE}"), &[0x4d; 100_000]);
    let config =
        "CONFIG_MODULE_DECOMPRESS=y\nCONFIG_RD_ZSTD=y\nCONFIG_EFI_STUB=y\nCONFIG_FS_VERITY=y\n";
    put(&format!("boot/config-{RELEASE}"), config.as_bytes());
    let modules = format!("usr/lib/modules/{RELEASE}");
    for name in [
        "dep",
        "alias",
        "softdep",
        "builtin",
        "builtin.modinfo",
        "order",
    ] {
        put(&format!("{modules}/modules.{name}"), b"");
    }
    put(
        &format!("{modules}/modules.dep"),
        b"kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2.ko.xz\nkernel/fs/jbd2.ko.xz:\n",
    );
    put(&format!("{modules}/kernel/fs/ext4/ext4.ko.xz"), b"ext4");
    put(&format!("{modules}/kernel/fs/jbd2.ko.xz"), b"jbd2");
    for loader in [
        "systemd/boot/efi/systemd-bootx64.efi",
        "systemd/boot/efi/systemd-bootx64.efi.signed",
        "shim/shimx64.efi.signed",
        "shim/mmx64.efi.signed",
    ] {
        put(&format!("usr/lib/{loader}"), loader.as_bytes());
    }
    put("etc/mke2fs.conf", b"[defaults]\n");
    put(
        "usr/share/ca-certificates/mozilla/a.crt",
        b"-----BEGIN CERTIFICATE-----\n",
    );
    // A program that asks for no loader and no library stands for the tools.
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    put("usr/sbin/mke2fs", &program);
    put("usr/sbin/e2fsck", &program);
    let mut font = vec![0x36, 0x04, 2, 1];
    font.resize(4 + 256, 0);
    font.extend(
        [0x2580u16, 0x2584, 0x2588]
            .iter()
            .flat_map(|code| code.to_le_bytes()),
    );
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&font).unwrap();
    put(
        "usr/share/consolefonts/Vietnamese-Terminus16.psf.gz",
        &packed.finish().unwrap(),
    );
    fs::write(folder.join("burin"), [&program[..], &[0xff; 1000]].concat()).unwrap();
    fs::write(folder.join("drivers"), "fs/ext4/*\n").unwrap();
    fs::write(folder.join("user-data"), USER_DATA).unwrap();
    let spec =
        "version: 1\nagent: burin\npackages: packages\ndrivers: drivers\nuser-data: user-data\n";
    fs::write(folder.join("iso.yaml"), spec).unwrap();
    // Another user must be able to read them; the date of the kernel is part of the input.
    let kernel = fs::File::open(tree.join(format!("boot/vmlinuz-{RELEASE}"))).unwrap();
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_750_000_000);
    kernel.set_modified(date).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder.join("iso.yaml")
}

const USER_DATA: &str = "#cloud-config\nburin:\n  hub: { url: 'https://hub.example:8443' }\n";

/// Runs the builder in a shell with this umask and these variables; as another user if we may.
fn build(spec: &Path, out: &Path, umask: &str, variables: &[(&str, &str)]) -> Output {
    use std::os::unix::process::CommandExt as _;
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("umask {umask}; exec \"$0\" \"$@\""))
        .arg(TOOL);
    shell
        .args(["build", "--spec"])
        .arg(spec)
        .arg("--out")
        .arg(out);
    shell
        .current_dir(spec.parent().unwrap())
        .env_remove("SOURCE_DATE_EPOCH");
    for (name, value) in variables {
        shell.env(name, value);
        if *name == "USER" && nobody_can_be_used() {
            shell.uid(65534).gid(65534);
        }
    }
    shell.output().unwrap()
}

/// Only root may run a program as somebody else.
fn nobody_can_be_used() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn inspect(iso: &Path) -> serde_json::Value {
    let output = Command::new(TOOL)
        .arg("inspect")
        .arg("--json")
        .arg(iso)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn built_twice_in_another_path_umask_user_and_time_zone_it_is_the_same() {
    let (one, two) = (
        tempfile::tempdir().unwrap(),
        tempfile::Builder::new()
            .prefix("another longer name ")
            .tempdir()
            .unwrap(),
    );
    let first = one.path().join("a.iso");
    let output = build(&inputs(one.path()), &first, "022", &[("TZ", "UTC")]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let second = two.path().join("other.iso");
    let variables = [
        ("TZ", "Pacific/Kiritimati"),
        ("USER", "nobody"),
        ("LC_ALL", "C.UTF-8"),
        ("HOME", "/"),
    ];
    let output = build(&inputs(two.path()), &second, "077", &variables);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        fs::read(&first).unwrap() == fs::read(&second).unwrap(),
        "the two ISOs differ"
    );
}

#[test]
fn inspect_tells_what_was_built_and_finds_a_flipped_byte() {
    let folder = tempfile::tempdir().unwrap();
    let iso = folder.path().join("a.iso");
    let output = build(&inputs(folder.path()), &iso, "022", &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = inspect(&iso);
    assert_eq!(told["volume"], "BURIN");
    assert_eq!(told["manifest"]["kernel"], RELEASE);
    assert_eq!(told["manifest"]["epoch"], 1_750_000_000);
    assert_eq!(told["drivers"], serde_json::json!({ "fs": 2 }));
    assert_eq!(told["entries"]["install.conf"], "burin.mode=install quiet");
    let image = &told["boot_image"];
    assert_eq!(
        image["catalog_sectors"].as_u64().unwrap() * 512,
        image["length"].as_u64().unwrap()
    );
    assert!(told["user_data"].as_str().unwrap().contains("hub.example"));
    let mut bytes = fs::read(&iso).unwrap();
    let at = bytes
        .windows(64)
        .position(|part| part == [0x4d; 64])
        .unwrap();
    bytes[at + 20_000] ^= 1;
    fs::write(&iso, bytes).unwrap();
    let output = Command::new(TOOL)
        .arg("inspect")
        .arg(&iso)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        !output.status.success() && text.contains("PROBLEM    burin/linux has digest"),
        "{text}"
    );
}

fn tool(arguments: &[&str]) -> Output {
    Command::new(TOOL).args(arguments).output().unwrap()
}

#[test]
fn user_data_without_a_hub_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let spec = inputs(folder.path());
    fs::write(
        folder.path().join("user-data"),
        "#cloud-config\nhostname: box\n",
    )
    .unwrap();
    let output = build(&spec, &folder.path().join("a.iso"), "022", &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("user-data:1:1: warning: no hub is named"),
        "{told}"
    );
}

#[test]
fn bad_input_exits_with_2_names_the_place_and_builds_nothing() {
    let large = "#".repeat(300_000);
    let cases: BTreeMap<&str, (&str, &str, &str)> = [
        (
            "unknown key",
            ("iso.yaml", "version: 1\nagnet: x\n", "iso.yaml:2:1"),
        ),
        (
            "no agent",
            (
                "iso.yaml",
                "version: 1\npackages: packages\n",
                "agent: nothing given",
            ),
        ),
        (
            "too large",
            ("user-data", &large, "does not fit in the area"),
        ),
        (
            "nothing in user-data",
            ("user-data", "", "user-data:1:1: error: the file is empty"),
        ),
        (
            "a mistake in user-data",
            (
                "user-data",
                "#cloud-config\nbruin: {}\n",
                "user-data:2:1: error: unknown key `bruin`; expected `burin`, perhaps",
            ),
        ),
        (
            "a profile",
            (
                "user-data",
                "apiVersion: burin/v1\nkind: Profile\n",
                "user-data:1:1: error: this is a profile, not user-data",
            ),
        ),
        (
            "not text",
            (
                "iso.yaml",
                "version: 1\nagent: burin\npackages: packages\nuser-data: burin\n",
                "not UTF-8",
            ),
        ),
    ]
    .into();
    for (name, (file, text, want)) in cases {
        let folder = tempfile::tempdir().unwrap();
        let spec = inputs(folder.path());
        fs::write(folder.path().join(file), text).unwrap();
        let iso = folder.path().join("a.iso");
        let output = build(&spec, &iso, "022", &[]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {told}");
        assert!(told.contains(want), "{name}: {told}");
        assert!(!iso.exists(), "{name}");
    }
}
