//! Other user-data in a finished ISO.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{USER_DATA, build, inputs, inspect, tool};

#[test]
fn a_customized_iso_is_the_one_that_would_have_been_built() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let spec = inputs(folder.path());
    assert!(
        build(&spec, Path::new(&path("base.iso")), "022", &[])
            .status
            .success()
    );
    let other = "#cloud-config\nburin:\n  hub: { url: 'https://other.example' }\n  token: BRN1-W91F4MEX-070W3GE1R70W3GE1R70W3GE1R7\n";
    fs::write(path("user-data"), other).unwrap();
    let output = build(&spec, Path::new(&path("built.iso")), "022", &[]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("packing the initramfs ..."), "{told}");
    let (base, data, made) = (path("base.iso"), path("user-data"), path("made.iso"));
    let arguments = [
        "customize",
        &base,
        "--user-data",
        &data,
        "--out",
        &made,
        "--json",
    ];
    let output = tool(&arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    assert!(!error.contains("warning"), "{error}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (built, bytes) = (
        fs::read(path("built.iso")).unwrap(),
        fs::read(&made).unwrap(),
    );
    assert!(
        built == bytes,
        "it differs from the ISO that is built with this user-data"
    );
    assert_eq!(told["bytes"], built.len());
    assert_eq!(told["sha256"], burin_iso::manifest::digest(&built));
    assert_eq!(
        fs::metadata(&made).unwrap().permissions().mode() & 0o777,
        0o600
    );
    nothing_is_overwritten_nor_shown(&arguments, &made);
    strangers_agree(&base, &made);
}

fn nothing_is_overwritten_nor_shown(arguments: &[&str], made: &str) {
    let again = tool(arguments);
    assert_eq!(again.status.code(), Some(2));
    let error: serde_json::Value = serde_json::from_slice(&again.stderr).unwrap();
    assert_eq!(error["type"], "bad_input");
    assert!(
        error["detail"]
            .as_str()
            .unwrap()
            .contains("is there already"),
        "{error}"
    );
    let shown = inspect(Path::new(made))["user_data"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        shown.contains("other.example") && shown.contains("token: <hidden>"),
        "{shown}"
    );
}

/// What xorriso, which burin did not write, says of the boot tables is the same for both.
fn strangers_agree(base: &str, made: &str) {
    let report = |iso: &str| {
        let mut xorriso = Command::new("xorriso");
        xorriso.args(["-no_rc", "-indev", iso]);
        xorriso.args(["-report_el_torito", "plain", "-report_system_area", "plain"]);
        let output = xorriso.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let told = report(made);
    assert!(told.contains("El Torito boot img :   1  UEFI  y"), "{told}");
    assert!(told.contains("GPT partition name"), "{told}");
    assert_eq!(told, report(base));
}

#[test]
fn what_is_no_whole_iso_is_not_customized() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let spec = inputs(folder.path());
    assert!(
        build(&spec, Path::new(&path("base.iso")), "022", &[])
            .status
            .success()
    );
    let whole = fs::read(path("base.iso")).unwrap();
    let (mut flipped, cut) = (whole.clone(), &whole[..whole.len() / 2]);
    let at = whole
        .windows(64)
        .position(|part| part == [0x4d; 64])
        .unwrap();
    flipped[at + 20_000] ^= 1;
    fs::write(path("flipped.iso"), flipped).unwrap();
    fs::write(path("cut.iso"), cut).unwrap();
    fs::write(path("text.iso"), "hello").unwrap();
    let large = format!("{USER_DATA}#{}\n", "x".repeat(300_000));
    fs::write(path("large"), large).unwrap();
    fs::write(path("wrong"), "#cloud-config\nbruin: {}\n").unwrap();
    let good = "user-data";
    for (iso, data, want) in [
        ("flipped.iso", good, "burin/linux has digest"),
        ("cut.iso", good, "the file was cut"),
        ("text.iso", good, "text.iso: this is no ISO: it has 5 bytes"),
        ("missing.iso", good, "No such file"),
        ("base.iso", "large", "does not fit"),
        ("base.iso", "wrong", "wrong:2:1: error: unknown key `bruin`"),
        ("base.iso", "missing", "No such file"),
    ] {
        let (iso, data, out) = (path(iso), path(data), path("out.iso"));
        let output = tool(&["customize", &iso, "--user-data", &data, "--out", &out]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{iso} {data}: {told}");
        assert!(told.contains(want), "{iso} {data}: {told}");
        assert!(!Path::new(&out).exists(), "{iso} {data}");
    }
}

#[test]
fn a_built_iso_is_its_owners_and_takes_no_files_place() {
    let folder = tempfile::tempdir().unwrap();
    let spec = inputs(folder.path());
    let iso = folder.path().join("a.iso");
    let mode = || fs::metadata(&iso).unwrap().permissions().mode() & 0o777;
    assert!(build(&spec, &iso, "022", &[]).status.success());
    assert_eq!(mode(), 0o600);
    fs::write(&iso, "something else").unwrap();
    let again = build(&spec, &iso, "022", &[]);
    let told = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(2), "{told}");
    assert!(
        told.contains("is there already") && told.contains("--force"),
        "{told}"
    );
    assert_eq!(fs::read(&iso).unwrap(), b"something else");
    let (spec_text, out) = (spec.to_str().unwrap(), iso.to_str().unwrap());
    let forced = tool(&["build", "--spec", spec_text, "--out", out, "--force"]);
    let told = String::from_utf8_lossy(&forced.stderr);
    assert!(forced.status.success(), "{told}");
    assert!(inspect(&iso)["user_data"].is_string());
    // Without user-data nothing secret is in it.
    let bare = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, bare.replace("user-data: user-data\n", "")).unwrap();
    fs::remove_file(&iso).unwrap();
    assert!(build(&spec, &iso, "022", &[]).status.success());
    assert_eq!(mode(), 0o644);
}

#[test]
fn what_is_no_iso_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("profile.yaml");
    for bytes in [&b"kind: Profile\n"[..], &[b'#'; 100_000]] {
        fs::write(&file, bytes).unwrap();
        let output = tool(&["inspect", file.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{told}");
        assert!(told.contains("profile.yaml: this is no ISO"), "{told}");
    }
}
