//! Keys of Palette and Kairos that are known and have no effect, each with what happens instead.

const KUBERNETES: &str = "the profile says which Kubernetes runs and how";
const IMAGES: &str = "the profile names the images, by digest";
const SIGNED: &str = "everything that a profile names is checked by digest, always";
const HUB: &str = "the hub does this for an installed host";
const LAYER: &str = "put it in a layer";
const LOCAL: &str = "an installed host serves no page of its own";
const PRECEDENCE: &str = "sources have a fixed order";

pub(super) const TOP: [(&str, &str); 48] = [
    ("ssh_authorized_keys", "write the keys with their user"),
    ("reset", HUB),
    ("upgrade", HUB),
    ("cluster", KUBERNETES),
    ("k3s", KUBERNETES),
    ("k3s-agent", KUBERNETES),
    ("k0s", KUBERNETES),
    ("k0s-worker", KUBERNETES),
    ("kubevip", KUBERNETES),
    ("p2p", "hosts find each other through the hub"),
    ("kairos", "hosts find each other through the hub"),
    ("vpn", "hosts find each other through the hub"),
    ("env", "write `environment` in a step of `stages`"),
    ("options", "burin has no such options"),
    ("config_url", "configuration is not fetched from a URL"),
    ("cloud-init-paths", PRECEDENCE),
    ("strict", "an error stops the installation, always"),
    ("debug", "logs are complete, always"),
    ("cosign", SIGNED),
    ("verify", SIGNED),
    ("cosign-key", SIGNED),
    ("eject-cd", "remove the medium when the screen says so"),
    ("bind-pcrs", "the disk is not encrypted yet"),
    ("bind-public-pcrs", "the disk is not encrypted yet"),
    ("kcrypt", "the disk is not encrypted yet"),
    (
        "uki-max-entries",
        "burin keeps the generations that it needs",
    ),
    ("logs", "logs are kept, always"),
    ("bundles", LAYER),
    ("extensions", LAYER),
    ("fail_on_bundles_errors", LAYER),
    ("arch", "the machine's own counts"),
    ("squash-no-compression", "burin makes no squashfs"),
    ("squash-compression", "burin makes no squashfs"),
    ("grub_options", "write `install.grub_options`"),
    ("phonehome", "the host calls its hub"),
    ("growpart", "the data partition takes the rest of the disk"),
    ("name", "it only names the file"),
    ("fqdn", "write `hostname`"),
    (
        "timezone",
        "an installed host runs on UTC unless a layer says otherwise",
    ),
    ("locale", LAYER),
    ("package_update", LAYER),
    ("package_upgrade", LAYER),
    ("chpasswd", "write `passwd` with the user"),
    ("ssh_pwauth", LAYER),
    (
        "disable_root",
        "root has no password unless `users` gives it one",
    ),
    (
        "boot.after",
        "it stands outside of `stages`, where no tool looks",
    ),
    (
        "initramfs",
        "it stands outside of `stages`, where no tool looks",
    ),
    ("network", "write `burin.network`"),
];

pub(super) const INSTALL: [(&str, &str); 23] = [
    ("auto", "whether a person is asked is the hub's decision"),
    (
        "ephemeral_mounts",
        "`/tmp` and `/run` are volatile, and nothing else can be",
    ),
    (
        "extra-dirs-rootfs",
        "the root is sealed: put the folder in a layer",
    ),
    (
        "extra-partitions",
        "a disk has three partitions, the last takes the rest",
    ),
    (
        "partitions",
        "a disk has three partitions, `install.system-size` sizes the second",
    ),
    ("part-table", "it is GPT, always"),
    (
        "no-format",
        "a disk with an installed host keeps its data anyway",
    ),
    (
        "force",
        "foreign data is erased with `install.wipe: true` and never otherwise",
    ),
    ("nousers", "no user is made unless user-data has one"),
    ("skip_copy_kcrypt_plugin", "the disk is not encrypted yet"),
    ("bundles", LAYER),
    ("extensions", LAYER),
    ("env", "no program of yours runs while burin installs"),
    (
        "cloud-init",
        "no program of yours runs while burin installs",
    ),
    ("source", IMAGES),
    ("image", IMAGES),
    ("iso", IMAGES),
    ("system", IMAGES),
    ("passive", IMAGES),
    ("recovery-system", IMAGES),
    (
        "allow-insecure-registries",
        "`burin.registries` says how each registry is reached",
    ),
    ("grub-entry-name", "entries are named by their generation"),
    ("eject-cd", "remove the medium when the screen says so"),
];

pub(super) const GRUB: [(&str, &str); 7] = [
    (
        "extra_active_cmdline",
        "all generations have the same, `extra_cmdline`",
    ),
    (
        "extra_passive_cmdline",
        "all generations have the same, `extra_cmdline`",
    ),
    (
        "extra_recovery_cmdline",
        "recovery boots the installer as it is",
    ),
    ("default_menu_entry", "the newest good generation boots"),
    (
        "default_fallback",
        "a generation that fails is left for the last good one",
    ),
    ("next_entry", "the newest good generation boots"),
    ("saved_entry", "the newest good generation boots"),
];

pub(super) const STYLUS: [(&str, &str); 16] = [
    ("debug", "logs are complete, always"),
    ("trace", "logs are complete, always"),
    ("enableMultiNode", KUBERNETES),
    ("featureGate", "burin has no such features"),
    ("includeTui", "the console shows the state, always"),
    ("disableTui", "the console shows the state, always"),
    ("disablePasswordUpdate", LOCAL),
    ("localUI", LOCAL),
    ("emcServer", LOCAL),
    ("path", "the agent is an image of its own"),
    ("vip", KUBERNETES),
    ("skipKubeVip", KUBERNETES),
    ("imageOverride", IMAGES),
    (
        "imageRedirectWebhook",
        "mirrors of the cluster are the distribution's own setting",
    ),
    ("twoNode", KUBERNETES),
    ("harborPVC", KUBERNETES),
];

pub(super) const SITE: [(&str, &str); 10] = [
    (
        "disableAutoRegister",
        "leave the token out, then an admin decides in the hub",
    ),
    (
        "autoRegister",
        "leave the token out, then an admin decides in the hub",
    ),
    ("clusterId", "a host is assigned in the hub"),
    ("clusterName", "a host is assigned in the hub"),
    ("tagsFromFile", "write `tags`"),
    (
        "tagsFromScript",
        "no program of yours runs while burin installs; write `tags`",
    ),
    ("remoteShell", "burin has no remote shell"),
    ("debug", "logs are complete, always"),
    ("twoNode", KUBERNETES),
    ("siteNetwork", "write `network`"),
];

pub(super) const USER: [(&str, &str); 10] = [
    ("passwordExpiry", "write `chage` in a step of `stages`"),
    ("expiredate", "write `chage` in a step of `stages`"),
    ("gecos", "a user has a name and no more"),
    ("homedir", "the home is /home/<name>"),
    ("primary_group", "the first group has the user's name"),
    ("uid", "numbers are the host's own, and never change"),
    ("no_create_home", "every user has a home"),
    ("system", "every user has a home"),
    ("no_user_group", "the first group has the user's name"),
    (
        "ssh_import_id",
        "keys are not fetched from the network; write the key itself",
    ),
];
