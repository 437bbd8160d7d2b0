//! Who this host is to systemd and SSH: made once on the host, kept on the system partition, the
//! same in every generation.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use burin_core::ssh;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::machine::file::{self, Mode};

/// The longest file of these, bytes.
const LIMIT: usize = 16 * 1024;

/// Writes `machine-id` and the SSH host key into the rendered `/etc`.
pub(super) fn render(system: &Path, etc: &Path) -> Result<()> {
    let machine_id = kept(&system.join("machine-id"), Mode::Public, || {
        Ok(format!("{}\n", hex::encode(random::<16>()?)).into_bytes())
    })?;
    write(&etc.join("machine-id"), &machine_id, Mode::Public)?;
    let folder = etc.join("ssh");
    if !folder.is_dir() {
        return Ok(());
    }
    let seed = kept(&system.join("ssh_host_ed25519_seed"), Mode::Private, || {
        Ok(random::<32>()?.to_vec())
    })?;
    let seed: [u8; 32] = seed
        .try_into()
        .map_err(|_| anyhow!("the kept SSH host key has the wrong length"))?;
    let public = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed)
        .map_err(|_| anyhow!("the kept SSH host key is no key"))?;
    let mut key = [0u8; 32];
    key.copy_from_slice(ring::signature::KeyPair::public_key(&public).as_ref());
    let check = u32::from_le_bytes(random::<4>()?);
    write(
        &folder.join("ssh_host_ed25519_key"),
        ssh::private_key(&seed, &key, check).as_bytes(),
        Mode::Private,
    )?;
    write(
        &folder.join("ssh_host_ed25519_key.pub"),
        ssh::public_key(&key).as_bytes(),
        Mode::Public,
    )
}

/// Reads what was kept, or makes it and keeps it.
fn kept(path: &Path, mode: Mode, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    if let Some(bytes) = file::read_if_there(path, LIMIT)?
        && !bytes.is_empty()
    {
        return Ok(bytes);
    }
    let bytes = make()?;
    file::replace(path, &bytes, mode)?;
    Ok(bytes)
}

fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<()> {
    file::replace(path, bytes, mode).with_context(|| format!("rendering {}", path.display()))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the kernel gives no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_the_same_after_every_boot() {
        let system = tempfile::tempdir().unwrap();
        let read = || {
            let etc = tempfile::tempdir().unwrap();
            std::fs::create_dir(etc.path().join("ssh")).unwrap();
            render(system.path(), etc.path()).unwrap();
            ["machine-id", "ssh/ssh_host_ed25519_key.pub"]
                .map(|name| std::fs::read_to_string(etc.path().join(name)).unwrap())
        };
        let first = read();
        assert_eq!(first[0].trim().len(), 32);
        assert_eq!(read(), first);
    }

    #[test]
    fn ssh_itself_reads_the_key() {
        let system = tempfile::tempdir().unwrap();
        let etc = tempfile::tempdir().unwrap();
        std::fs::create_dir(etc.path().join("ssh")).unwrap();
        render(system.path(), etc.path()).unwrap();
        let key = etc.path().join("ssh/ssh_host_ed25519_key");
        let shown = std::process::Command::new("ssh-keygen")
            .args(["-y", "-f"])
            .arg(&key)
            .output()
            .expect("ssh-keygen is installed by the check");
        assert!(shown.status.success(), "{shown:?}");
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(
            shown.split(' ').nth(1).map(str::trim),
            public.split(' ').nth(1).map(str::trim)
        );
    }
}
