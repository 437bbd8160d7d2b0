//! The search for secrets finds what was planted, says where, and lets what is in its place lie.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use burin_hardware_tests::{
    board::Disk,
    canary::{Kind, note, random, search},
    process,
};

const MIB: u64 = 1 << 20;

/// A disk of 96 MiB as burin partitions one: ESP and system, with these files on the system.
fn disk(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    Disk::empty(path, 96 * MIB, "S")?;
    let layout = path.with_extension("layout");
    fs::write(
        &layout,
        "label: gpt\n\
         start=1MiB, size=40MiB, type=uefi, name=burin-esp\n\
         start=41MiB, size=48MiB, type=linux, name=burin-system\n",
    )?;
    let mut sfdisk = Command::new("sh");
    sfdisk.args(["-c", "sfdisk -q \"$1\" < \"$2\"", "sh"]);
    process::output(sfdisk.arg(path).arg(&layout))?;
    let tree = tempfile::tempdir()?;
    for (name, content) in files {
        let file = tree.path().join(name);
        fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        fs::write(file, content)?;
    }
    let at = format!("offset={}", 41 * MIB);
    let mut format = Command::new("mke2fs");
    format.args(["-q", "-F", "-t", "ext4", "-b", "4096", "-E", &at, "-d"]);
    process::output(format.arg(tree.path()).arg(path).arg("48M"))?;
    let esp = format!("{}@@{MIB}", path.display());
    let mut format = Command::new("mformat");
    // With fewer clusters it would be FAT16.
    format.args(["-F", "-c", "1", "-T", "81920", "-i", &esp]);
    process::output(format.arg("::"))?;
    Ok(())
}

/// What the search says of a scenario's folder.
fn complaint(folder: &Path) -> String {
    search(folder).map_or_else(|error| format!("{error:#}"), |_| String::new())
}

#[test]
fn a_password_is_found_in_logs_at_any_place_and_in_every_form() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let password = random("password")?;
    note(folder, Kind::Password, &password)?;
    let log = folder.join("console-1.log");
    fs::write(&log, "nothing\n")?;
    assert_eq!(complaint(folder), "");
    let utf16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (form, text) in [
        ("Plain", password.clone().into_bytes()),
        ("Hex", hex::encode(&password).into_bytes()),
        ("Utf16", utf16),
    ] {
        // Readers take parts of a file: a secret may lie across two of them.
        for before in [0, 65_530, 131_000, 4_194_290] {
            let filled = [&vec![b'x'; before][..], &text, b"\n"].concat();
            fs::write(&log, filled)?;
            let said = complaint(folder);
            let wanted = format!("Password ({form}) in console-1.log");
            assert!(said.contains(&wanted), "{form} at {before}: {said}");
            assert!(!said.contains(&password), "the search tells the secret");
        }
    }
    Ok(())
}

#[test]
fn a_secret_on_a_disk_is_told_with_its_file_and_may_lie_in_its_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let password = random("user")?;
    note(folder, Kind::UserPassword, &password)?;
    let text = format!("passwd: {password}\n");
    let raw = folder.join("disk.raw");
    disk(
        &raw,
        &[
            ("user-data", text.as_bytes()),
            ("generations/1/user-data", text.as_bytes()),
        ],
    )?;
    let report = search(folder)?;
    for place in ["burin-system/user-data", "generations/1/user-data"] {
        assert!(report.lies(Kind::UserPassword, place), "{report:?}");
    }

    let leaks = [
        ("record.json", text.as_bytes()),
        ("logs/agent.log", text.as_bytes()),
    ];
    disk(&raw, &leaks)?;
    let said = complaint(folder);
    for place in ["burin-system/record.json", "burin-system/logs/agent.log"] {
        let wanted = format!("UserPassword (Plain) in disk.raw/{place}");
        assert!(said.contains(&wanted), "{said}");
    }
    Ok(())
}

#[test]
fn a_secret_is_found_between_partitions_in_boot_files_and_above_a_golden_disk() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let token = random("token")?;
    note(folder, Kind::Token, &token)?;
    let raw = folder.join("disk.raw");
    disk(&raw, &[("user-data", b"wiped")])?;
    assert_eq!(complaint(folder), "");
    let boot = folder.join("burin.iso");
    fs::write(&boot, &token)?;
    let esp = format!("{}@@{MIB}", raw.display());
    process::output(Command::new("mmd").args(["-i", &esp, "::/burin"]))?;
    let mut copy = Command::new("mcopy");
    copy.args(["-i", &esp]).arg(&boot).arg("::/burin/area.cpio");
    process::output(&mut copy)?;
    let file = File::options().write(true).open(&raw)?;
    file.write_all_at(token.as_bytes(), 93 * MIB)?;
    let said = complaint(folder);
    for place in ["no partition/97517568", "burin-esp/burin/area.cpio"] {
        assert!(said.contains(&format!("disk.raw/{place}")), "{said}");
    }

    // What lies below the layer of changes belongs to the disk.
    let elsewhere = tempfile::tempdir()?;
    let below = elsewhere.path().join("below.raw");
    fs::rename(&raw, &below)?;
    Disk::overlay(&folder.join("disk.qcow2"), &below, "S")?;
    let said = complaint(folder);
    assert!(said.contains("disk.qcow2/no partition/97517568"), "{said}");
    Ok(())
}
