//! Steps of `stages`, in the shapes that published files have.

use proptest::prelude::*;

use super::super::*;
use super::told;

const STAGES: &str = "#cloud-config
users: [{ name: ops, groups: [sudo] }]
install: { bind_mounts: [/srv/data] }
stages:
  initramfs:
    - name: Kernel and files
      sysctl: { net.ipv4.ip_forward: 1, kernel.panic: \"10\" }
      modules: [br_netfilter, overlay]
      users:
        kairos:
          passwd: kairos
          groups: [sudo]
        ops: { groups: [docker] }
      files:
        - path: /etc/rancher/k3s/registries.yaml
          permissions: 0600
          owner: 0
          group: 0
          content: |
            mirrors: {}
        - { path: /etc/x, permissions: 420, encoding: b64, content: aGVsbG8= }
        - { path: /var/lib/app/conf, permissions: \"0640\", owner_string: \"app:adm\", content: a }
      directories:
        - { path: /srv/data/in, permissions: 0700, owner: 1000, group: 100 }
  boot.after:
    only: a
  boot:
    - if: '[ -f \"/run/cos/active_mode\" ]'
      commands: [echo one]
    - if: '[ -f \"/run/cos/live_mode\" ]'
      commands: [echo never]
    - if: test -e /etc/flag
      commands:
        - |
          echo two
      hostname: other
    - only_os: ^debian.*|ubuntu$
      environment: { FOO: bar }
      systemctl:
        enable: [cronie]
        start: [foo.timer]
        mask: [apt-daily]
        disable: [x]
        overrides: [{ service: ssh, name: 10-a.conf, content: \"[Service]\" }]
    - only_arch: arm64
      commands: [echo never]
  network.before:
    - authorized_keys:
        ops: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0 a]
      dns: { nameservers: [192.0.2.53], search: [site.example] }
      timesyncd: { NTP: 192.0.2.123 }
  reconcile:
    commands: [echo hourly]
  after-install-chroot:
    - files: [{ path: /etc/motd, content: hi }]
  after-install:
    - commands: [echo nothing]
write_files:
  - { path: /var/lib/rancher/k3s/server/manifests/a.yaml, permissions: \"0644\", owner: root:root, content: b }
runcmd:
  - echo three
  - [echo, it's, four]
";

fn stages() -> UserData {
    parse(&STAGES.replace("  boot.after:\n    only: a\n", "")).unwrap()
}

#[test]
fn users_and_names_of_steps_go_where_the_others_are() {
    let data = stages();
    let names: Vec<_> = data
        .users
        .iter()
        .map(|u| (u.name.as_str(), u.groups.join(",")))
        .collect();
    assert_eq!(
        names,
        [
            ("ops", "sudo,docker".to_owned()),
            ("kairos", "sudo".to_owned())
        ]
    );
    assert_eq!(data.users[0].ssh_authorized_keys.len(), 1);
    assert_eq!(
        data.network.dns,
        ["192.0.2.53".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(data.network.search, ["site.example"]);
    assert_eq!(data.hostname, None);
    let told: Vec<String> = data.warnings.iter().map(Problem::to_string).collect();
    for part in [
        "`stages.initramfs.users.kairos.passwd` is plain text",
        "this step has no effect: its `if` is never true",
        "`stages.boot.hostname` has no effect: `if` is decided when commands run",
        "`stages.boot.systemctl.disable` has no effect: write `mask`",
        "this step has no effect: it is only for arm64",
        "`stages.after-install` has no effect: nothing of yours runs while burin installs",
    ] {
        assert!(told.iter().any(|t| t.contains(part)), "{part}\n{told:#?}");
    }
    assert_eq!(told.len(), 6, "{told:#?}");
}

#[test]
fn steps_are_read() {
    let data = stages();
    let [kernel, one, two, debian, time, hourly, image, plain] = data.stages.as_slice() else {
        panic!("{:#?}", data.stages)
    };
    assert_eq!((kernel.when, kernel.sysctl.len()), (When::Early, 2));
    let files: Vec<_> = kernel
        .files
        .iter()
        .map(|f| {
            (
                f.path.as_str(),
                f.content.expose(),
                f.mode,
                f.owner.user.as_str(),
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            (
                "/etc/rancher/k3s/registries.yaml",
                "mirrors: {}\n",
                0o600,
                "0"
            ),
            ("/etc/x", "hello", 0o644, "root"),
            ("/var/lib/app/conf", "a", 0o640, "app"),
        ]
    );
    assert_eq!(
        (
            kernel.folders[0].mode,
            kernel.folders[0].owner.group.as_str()
        ),
        (0o700, "100")
    );
    assert_eq!(one.commands[0].expose(), "echo one\n");
    assert_eq!(
        two.commands[0].expose(),
        "if test -e /etc/flag\nthen\necho two\n\nfi\n"
    );
    assert_eq!(debian.only_os, ["debian*", "ubuntu"]);
    assert_eq!(debian.enable, ["cronie.service", "foo.timer"]);
    assert_eq!(debian.mask, ["apt-daily.service"]);
    assert_eq!(debian.overrides[0].0, "ssh.service.d/10-a.conf");
    assert_eq!(debian.environment["environment"][0].0, "FOO");
    assert_eq!(time.timesyncd["NTP"], "192.0.2.123");
    assert_eq!(hourly.when, When::Reconcile);
    assert_eq!(image.files[0].path, "/etc/motd");
    let commands: Vec<_> = plain.commands.iter().map(Secret::expose).collect();
    assert_eq!(commands, ["echo three\n", "'echo' 'it'\\''s' 'four'\n"]);
}

const MISTAKES: [(&str, &str); 18] = [
    (
        "boot: [{ commands: { a: 1 } }]",
        "4:22: error: `stages.boot.commands` is a mapping; expected a list",
    ),
    (
        "boot: [{ comands: [a] }]",
        "4:12: error: unknown key `stages.boot.comands`; expected `commands`, perhaps",
    ),
    (
        "boot: [{ future: [a] }]",
        "4:12: warning: unknown key `stages.boot.future`: it has no effect",
    ),
    (
        "boto: [{ commands: [a] }]",
        "4:3: warning: `stages.boto` has no effect: a burin host has no such stage",
    ),
    (
        "after-install-chroot: [{ commands: [snap install x] }]",
        "4:39: error: a command cannot change the image of an installed host; expected a layer that has it, because the root is sealed",
    ),
    (
        "boot: [{ packages: { install: [vim] } }]",
        "4:22: error: `stages.boot.packages` cannot be done on an installed host; expected a layer that has it, because the root is sealed",
    ),
    (
        "boot: [{ files: [{ path: /usr/local/bin/x }] }]",
        "4:28: error: `/usr/local/bin/x` cannot be written on an installed host; expected a path below /etc or /var, or a layer that has it, because the root is sealed",
    ),
    (
        "boot: [{ files: [{ path: /etc/passwd }] }]",
        "4:28: error: `/etc/passwd` is rendered by burin; expected `users`",
    ),
    (
        "boot: [{ files: [{ path: /etc/../usr/x }] }]",
        "4:28: error: `/etc/../usr/x` is not a plain absolute path; expected for example `/etc/motd`",
    ),
    (
        "boot: [{ files: [{ path: /etc/burin/stages/boot-001.sh }] }]",
        "4:28: error: `/etc/burin/stages/boot-001.sh` is rendered by burin; expected no such file: it is burin's own",
    ),
    (
        "boot: [{ files: [{ path: /etc/a, permissions: 644 }] }]",
        "4:49: error: `stages.boot.files.permissions` is `644`; expected an octal number, like `0644`",
    ),
    (
        "boot: [{ files: [{ path: /etc/a, owner_string: \"a b\" }] }]",
        "4:50: error: `stages.boot.files.owner_string` is `a b`; expected a user, or `user:group`",
    ),
    (
        "boot: [{ systemctl: { enable: [\"a b\"] } }]",
        "4:34: error: `a b` is not a unit; expected for example `ssh.service`",
    ),
    (
        "boot: [{ systemctl: { mask: [burin] } }]",
        "4:32: error: `burin` is burin's own; expected another unit",
    ),
    (
        "boot: [{ sysctl: { \"a b\": 1 } }]",
        "4:29: error: `stages.boot.sysctl.a b` is not a setting of the kernel; expected for example `vm.max_map_count: 262144`",
    ),
    (
        "boot: [{ name: skip-copy-secret, commands: [a] }]",
        "4:10: error: `skip-copy-secret` must not get onto the disk, and burin would keep it there; expected no such step; give the secret another way",
    ),
    (
        "kairos-install.pre.before: [{ commands: [a] }]",
        "4:3: warning: `stages.kairos-install.pre.before` has no effect: nothing of yours runs while burin installs",
    ),
    (
        "boot: [a]",
        "4:10: error: `stages.boot` is a single value; expected a mapping (`key: value`)",
    ),
];

#[test]
fn the_keys_of_cloud_init_are_steps() {
    let data = parse("#cloud-config\nbootcmd: [echo first]\nruncmd: [echo last]\n").unwrap();
    let steps: Vec<_> = data
        .stages
        .iter()
        .map(|s| (s.when, s.commands[0].expose()))
        .collect();
    assert_eq!(
        steps,
        [(When::Early, "echo first\n"), (When::Boot, "echo last\n")]
    );
    assert_eq!(
        told("#cloud-config\npackages: [vim]\n"),
        [
            "2:11: error: `packages` cannot be done on an installed host; expected a layer that has it, because the root is sealed"
        ]
    );
}

#[test]
fn a_condition_in_the_brackets_of_a_list_is_one() {
    let data = parse(
        "#cloud-config\nstages:\n  boot:\n    - if: [-f \"/usr/sbin/x\"]\n      commands: [x]\n",
    )
    .unwrap();
    assert_eq!(
        data.stages[0].commands[0].expose(),
        "if [ -f \"/usr/sbin/x\" ]\nthen\nx\nfi\n"
    );
}

#[test]
fn mistakes_in_steps_are_told() {
    for (text, want) in MISTAKES {
        let told = told(&format!("#cloud-config\n#\nstages:\n  {text}\n"));
        assert!(told.iter().any(|t| t == want), "{text}\n{told:#?}\n{want}");
    }
}

#[test]
fn the_contents_of_steps_are_never_shown() {
    let text = STAGES
        .replace("echo one", "echo s3cret")
        .replace("mirrors: {}", "s3cret");
    let text = text.replace("only: a", "commands: []");
    let data = parse(&text.replace("FOO: bar", "FOO: s3cret")).unwrap();
    assert!(!format!("{data:?}").contains("s3cret"));
    let broken = text
        .replace("0600", "999")
        .replace("b64", "gz")
        .replace("aGVsbG8=", "s3cret");
    assert!(!super::told(&broken).join("\n").contains("s3cret"));
}

proptest! {
    #[test]
    fn no_change_of_a_step_makes_the_parser_panic(at in 0usize..2600, with in "[ -~\n]{0,6}") {
        let mut text = STAGES.to_owned();
        text.insert_str(at.min(text.len()), &with);
        if let Err(problems) = parse(&text) {
            prop_assert!(problems.iter().all(|p| p.line >= 1 && p.column >= 1));
        }
    }
}
