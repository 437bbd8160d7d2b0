//! Users and groups: the image's, with the numbers of the ledger, then those of user-data.

use std::collections::BTreeMap;

use sha_crypt::{PasswordHasher as _, ShaCrypt};
use sha2::{Digest as _, Sha256};

use super::accounts::{self, Account, AccountsError, Entry, Group, GroupShadow, Shadow};
use super::ledger::{Conflict, Kind, Ledger};
use super::{Access, File, Home, Image};
use crate::userdata::{Password, Secret, User};

/// No password fits it, and it is not the `!` with which sshd refuses even keys when PAM is off.
const NO_PASSWORD: &str = "*";
/// Tried in this order when user-data names no shell.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// What came of the users.
pub(super) struct Merged {
    pub(super) files: Vec<File>,
    pub(super) homes: Vec<Home>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) troubles: Vec<String>,
    pub(super) base_shadow: Secret,
}

struct Tables {
    passwd: Vec<Account>,
    group: Vec<Group>,
    shadow: Vec<Shadow>,
    /// None: the image has none, and none is made.
    gshadow: Option<Vec<GroupShadow>>,
}

/// Merges the users. `saved` is the `shadow` that the host keeps.
///
/// # Errors
/// When a file of the image is not understood; then its files stay as they are.
pub(super) fn merge(
    image: &Image,
    users: &[User],
    host_name: &str,
    saved: Option<&str>,
    ledger: &mut Ledger,
) -> Result<Merged, String> {
    let mut tables = Tables::read(image)?;
    let mut troubles = Vec::new();
    let conflicts = tables.settle(ledger, &mut troubles);
    let mut homes = Vec::new();
    for user in users {
        match tables.add(user, image, host_name, ledger) {
            Some(home) => homes.push(home),
            None => troubles.push(format!("user {}: no number is left", user.name)),
        }
    }
    let base_shadow = Secret::new(accounts::write(&tables.shadow));
    if let Some(saved) = saved {
        match accounts::read::<Shadow>(saved) {
            Ok(saved) => tables.overlay(&saved),
            Err(err) => troubles.push(format!("the kept password hashes are not used: {err}")),
        }
    }
    Ok(Merged {
        files: tables.files(),
        homes,
        conflicts,
        troubles,
        base_shadow,
    })
}

impl Tables {
    fn read(image: &Image) -> Result<Self, String> {
        fn table<T: Entry>(name: &str, text: Option<&String>) -> Result<Vec<T>, String> {
            accounts::read(text.map_or("", String::as_str))
                .map_err(|err: AccountsError| format!("the image's /etc/{name}: {err}"))
        }
        let gshadow = image.gshadow.as_ref();
        Ok(Self {
            passwd: table("passwd", image.passwd.as_ref())?,
            group: table("group", image.group.as_ref())?,
            shadow: table("shadow", image.shadow.as_ref())?,
            gshadow: gshadow
                .map(|text| table("gshadow", Some(text)))
                .transpose()?,
        })
    }

    /// Gives the image's names the numbers that they have on this host.
    fn settle(&mut self, ledger: &mut Ledger, troubles: &mut Vec<String>) -> Vec<Conflict> {
        let wanted: Vec<_> = self.group.iter().map(|g| (g.name.clone(), g.gid)).collect();
        let (groups, mut conflicts) = ledger.settle(Kind::Group, &wanted);
        let moved: BTreeMap<u32, u32> = wanted
            .iter()
            .rev()
            .filter_map(|(name, old)| groups.get(name).map(|new| (*old, *new)))
            .collect();
        for group in &mut self.group {
            troubles.extend(renumber(Kind::Group, &group.name, &mut group.gid, &groups));
        }
        let wanted: Vec<_> = self
            .passwd
            .iter()
            .map(|a| (a.name.clone(), a.uid))
            .collect();
        let (users, more) = ledger.settle(Kind::User, &wanted);
        for account in &mut self.passwd {
            troubles.extend(renumber(
                Kind::User,
                &account.name,
                &mut account.uid,
                &users,
            ));
            account.gid = moved.get(&account.gid).copied().unwrap_or(account.gid);
        }
        conflicts.extend(more);
        conflicts
    }

    fn add(
        &mut self,
        user: &User,
        image: &Image,
        host_name: &str,
        ledger: &mut Ledger,
    ) -> Option<Home> {
        let at = match self.passwd.iter().position(|a| a.name == user.name) {
            Some(at) => at,
            None => {
                let account = self.new_account(user, image, ledger)?;
                self.passwd.push(account);
                self.passwd.len() - 1
            }
        };
        if let Some(shell) = &user.shell {
            self.passwd[at].shell.clone_from(shell);
        }
        for group in &user.groups {
            self.join(&user.name, group, ledger)?;
        }
        let hash = user
            .password
            .as_ref()
            .and_then(|it| hash(it, &user.name, host_name));
        match self.shadow.iter_mut().find(|s| s.name == user.name) {
            Some(line) => line.hash = hash.unwrap_or_else(|| line.hash.clone()),
            None => self.shadow.push(Shadow {
                name: user.name.clone(),
                hash: hash.unwrap_or_else(|| Secret::new(NO_PASSWORD)),
                ageing: Default::default(),
            }),
        }
        let account = &self.passwd[at];
        Some(Home {
            user: account.name.clone(),
            path: account.home.clone(),
            uid: account.uid,
            gid: account.gid,
        })
    }

    fn new_account(&mut self, user: &User, image: &Image, ledger: &mut Ledger) -> Option<Account> {
        let uid = ledger.assign(Kind::User, &user.name, None)?;
        let gid = self.group(&user.name, Some(uid), ledger)?;
        let shell = SHELLS.into_iter().find(|path| image.has(path));
        Some(Account {
            name: user.name.clone(),
            password: Secret::new("x"),
            uid,
            gid,
            gecos: String::new(),
            home: format!("/home/{}", user.name),
            shell: shell.unwrap_or("/bin/sh").to_owned(),
        })
    }

    /// The number of a group, which is made when the image has none of that name.
    fn group(&mut self, name: &str, like: Option<u32>, ledger: &mut Ledger) -> Option<u32> {
        if let Some(group) = self.group.iter().find(|group| group.name == name) {
            return Some(group.gid);
        }
        let gid = ledger.assign(Kind::Group, name, like)?;
        self.group.push(Group {
            name: name.to_owned(),
            password: Secret::new("x"),
            gid,
            members: Vec::new(),
        });
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.retain(|line| line.name != name);
            gshadow.push(GroupShadow {
                name: name.to_owned(),
                password: Secret::new("!"),
                administrators: String::new(),
                members: Vec::new(),
            });
        }
        Some(gid)
    }

    fn join(&mut self, user: &str, group: &str, ledger: &mut Ledger) -> Option<()> {
        self.group(group, None, ledger)?;
        let lines = self.group.iter_mut().filter(|line| line.name == group);
        let shadows = self.gshadow.iter_mut().flatten();
        let shadows = shadows.filter(|line| line.name == group);
        let lists = lines
            .map(|line| &mut line.members)
            .chain(shadows.map(|line| &mut line.members));
        for members in lists {
            if !members.iter().any(|member| member == user) {
                members.push(user.to_owned());
            }
        }
        Some(())
    }

    /// Lays the hashes over that were changed on the host. A name that is gone stays gone.
    fn overlay(&mut self, saved: &[Shadow]) {
        for line in &mut self.shadow {
            if let Some(saved) = saved.iter().find(|saved| saved.name == line.name) {
                line.hash.clone_from(&saved.hash);
                line.ageing.clone_from(&saved.ageing);
            }
        }
    }

    fn files(&self) -> Vec<File> {
        let mut files = vec![
            File::new("passwd", accounts::write(&self.passwd), Access::Public),
            File::new("group", accounts::write(&self.group), Access::Public),
            File::new("shadow", accounts::write(&self.shadow), Access::LikeImage),
        ];
        if let Some(gshadow) = &self.gshadow {
            files.push(File::new(
                "gshadow",
                accounts::write(gshadow),
                Access::LikeImage,
            ));
        }
        files
    }
}

/// The hash of a password. The salt is of host and user, so that it is the same at each boot: it has
/// to be different elsewhere, not secret.
fn hash(password: &Password, user: &str, host_name: &str) -> Option<Secret> {
    match password {
        Password::Hash(hash) => Some(hash.clone()),
        Password::Plain(text) => {
            let salt = Sha256::digest(format!("{host_name}\n{user}"));
            let text = text.expose().as_bytes();
            // crypt(5) reads 16 characters of salt; these are 12 bytes.
            let hash = ShaCrypt::SHA512
                .hash_password_with_salt(text, &salt[..12])
                .ok()?;
            Some(Secret::new(hash.as_str()))
        }
    }
}

/// Sets the number of this host. What is to be told when the image has another.
fn renumber(
    kind: Kind,
    name: &str,
    number: &mut u32,
    settled: &BTreeMap<String, u32>,
) -> Option<String> {
    let own = *settled.get(name).filter(|own| *own != number)?;
    let old = std::mem::replace(number, own);
    Some(format!(
        "{kind} {name} has the number {own} on this host; the image has it as {old}"
    ))
}
