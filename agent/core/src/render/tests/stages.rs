//! What steps of `stages` become.

use super::*;

const STEPS: &str = "stages:
  rootfs: [{ commands: [echo early] }]
  initramfs:
    - sysctl: { net.ipv4.ip_forward: 1 }
      modules: [overlay, br_netfilter]
      files:
        - { path: /etc/app.conf, permissions: 0600, owner_string: app, content: \"a\\n\" }
        - { path: /etc/cni/net.d/x.conf, content: \"100% \\\"x\\\" a\\\\b\\n\" }
        - { path: /etc/motd, content: hi }
      directories: [{ path: /var/lib/app, permissions: 0700 }]
  boot:
    - commands: [echo one, echo two]
      environment: { FOO: b ar, BAR: x }
      systemctl: { enable: [a, b.timer], mask: [c], overrides: [{ service: a, content: \"[Service]\" }] }
    - only_os: other
      modules: [never]
      commands: [echo never]
    - only_os: debi.*
      modules: [dummy]
  reconcile:
    - commands: [echo hourly]
      timesyncd: { NTP: 192.0.2.1 }
";

const GOLDEN: [(&str, &str); 14] = [
    (
        "systemd/system/burin-stage-early.service",
        "# Rendered by burin at each boot.\n[Unit]\nDescription=Commands of user-data, stage early\n\
         DefaultDependencies=no\nAfter=local-fs.target systemd-tmpfiles-setup.service\n\
         Before=sysinit.target shutdown.target\nConflicts=shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=2min\n\
         ExecStart=-/bin/sh /etc/burin/stages/early-001.sh\n",
    ),
    ("sysctl.d/90-burin-stages.conf", "net.ipv4.ip_forward = 1\n"),
    (
        "modules-load.d/90-burin-stages.conf",
        "br_netfilter\ndummy\noverlay\n",
    ),
    ("app.conf", "a\n"),
    ("motd", "hi"),
    ("environment", "PATH=/bin\nFOO=\"b ar\"\nBAR=x\n"),
    ("burin/stages/boot-001.sh", "echo one\n"),
    ("burin/stages/boot-002.sh", "echo two\n"),
    ("burin/stages/reconcile-001.sh", "echo hourly\n"),
    ("systemd/system/a.service.d/override.conf", "[Service]"),
    (
        "systemd/timesyncd.conf.d/20-burin-stages.conf",
        "[Time]\nNTP=192.0.2.1\n",
    ),
    (
        "systemd/system/multi-user.target.d/50-burin-stages.conf",
        "[Unit]\nWants=a.service b.timer\n",
    ),
    (
        "systemd/system/burin-stage-boot.service",
        "# Rendered by burin at each boot.\n[Unit]\nDescription=Commands of user-data, stage boot\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=30min\n\
             ExecStart=-/bin/sh /etc/burin/stages/boot-001.sh\n\
             ExecStart=-/bin/sh /etc/burin/stages/boot-002.sh\n",
    ),
    (
        "tmpfiles.d/50-burin-stages.conf",
        "d /var/lib/app 0700 root root -\n\
             z /etc/app.conf 0600 app root -\n\
             f+ /etc/cni/net.d/x.conf 0644 root root - 100%%\\x20\\x22x\\x22\\x20a\\x5cb\\x0a\n\
             f /run/cos/active_mode 0644 root root -\n",
    ),
];

#[test]
fn steps_are_rendered() {
    let mut image = image();
    image.os = "debian".to_owned();
    image.environment = Some("PATH=/bin".to_owned());
    let out = rendered(&image, STEPS, &Ledger::default());
    assert_eq!(out.troubles, Vec::<String>::new());
    for (path, want) in GOLDEN {
        assert_eq!(text(&out, path), want, "{path}");
    }
    assert!(
        !has(&out, "cni/net.d/x.conf"),
        "a persistent folder hides it"
    );
    let links: Vec<_> = out
        .links
        .iter()
        .map(|l| (l.path.as_str(), l.target.as_str()))
        .collect();
    for link in [
        ("systemd/system/c.service", "/dev/null"),
        (
            "systemd/system/multi-user.target.wants/burin-stage-boot.service",
            "/etc/systemd/system/burin-stage-boot.service",
        ),
        (
            "systemd/system/timers.target.wants/burin-stage-reconcile.timer",
            "/etc/systemd/system/burin-stage-reconcile.timer",
        ),
    ] {
        assert!(links.contains(&link), "{link:?}\n{links:#?}");
    }
    let modes = |path: &str| out.files.iter().find(|f| f.path == path).map(|f| f.access);
    assert_eq!(modes("app.conf"), Some(Access::Mode(0o600)));
    assert_eq!(modes("burin/stages/boot-001.sh"), Some(Access::Private));
}

#[test]
fn an_image_without_a_shell_runs_no_commands_and_that_is_said() {
    let mut image = image();
    image.present.remove("/bin/sh");
    let out = rendered(&image, STEPS, &Ledger::default());
    assert!(!has(&out, "systemd/system/burin-stage-boot.service"));
    assert!(
        out.troubles.iter().any(|t| t.contains("no /bin/sh")),
        "{:?}",
        out.troubles
    );
}

/// The hash is what crypt(3) of glibc gives for this password and salt.
#[test]
fn a_password_in_plain_text_becomes_a_hash_that_stays() {
    let users = "users: [{ name: ada, passwd: kairos }]\n";
    let out = rendered(&image(), users, &Ledger::default());
    let again = rendered(&image(), users, &Ledger::default());
    assert_eq!(text(&out, "shadow"), text(&again, "shadow"));
    let line = text(&out, "shadow").lines().last().unwrap();
    let hash =
        "5hl4EXG/uiqLcyJ8h2.DpiT3yz4KpwDDbneiM2eFewwHGXQ3SF9/euj0oxIhz9WKWTegEbSsuRyFvf3OXOfGf/";
    assert_eq!(
        line,
        format!("ada:$6$rounds=5000$do8Fp1SW5oHP.rKc${hash}:::::::")
    );
    assert!(!format!("{out:?}").contains("kairos"));
}
