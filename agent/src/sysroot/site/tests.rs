use super::*;

struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = Self { folder };
        for (path, text) in [
            ("root/usr/lib/systemd/system/systemd-networkd.service", ""),
            ("root/bin/sh", ""),
            ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
            ("etc/group", "root:x:0:\nshadow:x:42:\n"),
            ("etc/shadow", "root:*:19000:0:99999:7:::\n"),
            ("etc/pki/bundle.pem", "IMAGE\n"),
        ] {
            host.put(path, text);
        }
        let shadow = host.path("etc/shadow");
        fs::set_permissions(shadow, fs::Permissions::from_mode(0o640)).unwrap();
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir_all(self.path("system")).unwrap();
        fs::write(path, text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    fn render(&self) -> Site {
        render(
            &self.path("system"),
            &self.path("root"),
            &self.path("etc"),
            7,
        )
    }
}

const ADA: &str = "#cloud-config\nhostname: edge-1\nusers:\n- name: ada\n  sudo: ALL=(ALL) ALL\n";

#[test]
fn the_generations_user_data_is_rendered_with_its_modes() {
    let host = Host::new();
    host.put("root/usr/bin/sudo", "");
    host.put("system/generations/7/user-data", ADA);
    host.put("system/user-data", "#cloud-config\nhostname: other\n");
    let site = host.render();
    assert_eq!(host.text("etc/hostname"), "edge-1\n");
    assert!(
        host.text("etc/passwd")
            .contains("\nada:x:1000:1000::/home/ada:/bin/sh\n")
    );
    assert_eq!(host.mode("etc/shadow"), 0o640);
    assert_eq!(host.mode("etc/passwd"), 0o644);
    assert_eq!(host.mode("etc/sudoers.d/90-burin"), 0o440);
    assert_eq!(site.homes.len(), 1);
    let enabled = host.path("etc/systemd/system/multi-user.target.wants/systemd-networkd.service");
    let target = fs::read_link(enabled).unwrap();
    assert_eq!(
        target,
        Path::new("/usr/lib/systemd/system/systemd-networkd.service")
    );
    let ledger = Ledger::parse(&host.text("system/ledger.json")).unwrap();
    assert_eq!(ledger.users.get("ada"), Some(&1000));
}

#[test]
fn steps_for_this_system_are_rendered_with_their_modes() {
    let host = Host::new();
    host.put("root/usr/lib/os-release", "NAME=x\nID=\"debian\"\n");
    let steps = "stages:\n  boot:\n  - only_os: debian\n    commands: [echo one]\n    files:\n    \
                 - { path: /etc/app/key, permissions: 0400, content: secret }\n  \
                 - only_os: other\n    files: [{ path: /etc/other, content: no }]\n";
    host.put("system/user-data", &format!("#cloud-config\n{steps}"));
    host.render();
    assert_eq!(host.text("etc/app/key"), "secret");
    assert_eq!(host.mode("etc/app/key"), 0o400);
    assert_eq!(host.mode("etc/burin/stages/boot-001.sh"), 0o600);
    assert!(!host.path("etc/other").exists());
    let wanted = host.path("etc/systemd/system/multi-user.target.wants/burin-stage-boot.service");
    assert!(
        fs::read_link(wanted)
            .unwrap()
            .ends_with("burin-stage-boot.service")
    );
}

#[test]
fn bad_user_data_is_told_and_the_next_one_is_used() {
    let host = Host::new();
    host.put(
        "system/generations/7/user-data",
        "#cloud-config\nhostname: [\n",
    );
    host.put("system/user-data", "#cloud-config\nhostname: fallback\n");
    let site = host.render();
    assert_eq!(host.text("etc/hostname"), "fallback\n");
    assert!(
        site.troubles
            .iter()
            .any(|t| t.contains("generations/7/user-data is not used"))
    );
}

#[test]
fn nothing_readable_still_gives_a_name_and_a_network() {
    let host = Host::new();
    host.put("system/user-data", "no user-data at all: [");
    host.put("system/ledger.json", "torn{");
    host.put("system/host.json", r#"{"host_id":"burin-77","more":1}"#);
    fs::write(host.path("etc/passwd"), b"\xff\xfe").unwrap();
    host.render();
    assert_eq!(host.text("etc/hostname"), "burin-77\n");
    assert!(
        host.path("etc/systemd/network/10-burin-wired.network")
            .exists()
    );
    assert_eq!(host.text("system/ledger.json"), "torn{", "left to look at");
}

#[test]
fn a_masked_unit_is_not_started_and_absolute_links_are_the_images() {
    let host = Host::new();
    fs::create_dir_all(host.path("etc/systemd/system")).unwrap();
    let masked = host.path("etc/systemd/system/systemd-networkd.service");
    symlink("/dev/null", masked).unwrap();
    fs::create_dir_all(host.path("etc/ssl/certs")).unwrap();
    symlink(
        "/etc/pki/bundle.pem",
        host.path("etc/ssl/certs/ca-certificates.crt"),
    )
    .unwrap();
    let mut troubles = Vec::new();
    let image = image(&host.path("root"), &host.path("etc"), &mut troubles);
    assert!(image.units.is_empty(), "{:?}", image.units);
    let bundle = image.bundles.get("etc/ssl/certs/ca-certificates.crt");
    assert_eq!(bundle.map(String::as_str), Some("IMAGE\n"));
}
