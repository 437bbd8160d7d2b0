//! The secrets of a scenario: what people made up, and what lies in the places that programs have for it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use burin_api::{base32, token::PREFIX};
use serde_json::Value;

use super::{Kind, NOTES, Note, Secret, disk::Image};

/// Before the 32 bytes of a private key in PKCS #8, whether Ed25519 (RFC 8410, section 7) or an
/// elliptic curve (RFC 5915, section 3): an octet string of that length.
const PRIVATE: [u8; 2] = [0x04, 0x20];
/// Bytes that no token is longer than.
const TOKEN: usize = 128;

/// Every secret that is known to lie somewhere in `folder`, once.
pub(super) fn all(folder: &Path, files: &[PathBuf], disks: &[Image]) -> Result<Vec<Secret>> {
    let mut all = noted(folder)?;
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let read = || fs::read(path).with_context(|| format!("reading {}", path.display()));
        let in_data = path.parent().is_some_and(|it| it.ends_with("data"));
        if name.ends_with("user-data") {
            all.extend(tokens(&String::from_utf8_lossy(&read()?)));
        } else if name == "burin.iso" {
            all.extend(tokens_in(&read()?)?);
        } else if name == "release.key" {
            all.extend(private(Kind::ReleaseKey, &read()?));
        } else if name.ends_with(".kubeconfig") {
            all.extend(kubeconfig(&read()?)?);
        } else if name.starts_with("hub") && name.ends_with(".log") {
            all.extend(greeted(&String::from_utf8_lossy(&read()?)));
        } else if in_data && name == "admin.json" {
            let admin: Value = serde_json::from_slice(&read()?).context("reading admin.json")?;
            let key = admin["api_key"].as_str().context("no key in admin.json")?;
            all.push(secret(Kind::ApiKey, key.as_bytes()));
        } else if in_data && name.ends_with(".key") {
            all.extend(private(Kind::HubKey, &read()?));
        }
    }
    for disk in disks {
        if let Some(key) = disk.system_file("/identity.key")? {
            all.extend(private(Kind::HostKey, &key));
        }
    }
    let mut once: Vec<Secret> = Vec::new();
    for secret in all {
        if !once.contains(&secret) {
            once.push(secret);
        }
    }
    Ok(once)
}

fn secret(kind: Kind, bytes: &[u8]) -> Secret {
    let bytes = bytes.to_vec();
    Secret { kind, bytes }
}

fn noted(folder: &Path) -> Result<Vec<Secret>> {
    let path = folder.join(NOTES);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let notes = text.lines().map(|line| {
        let note: Note = serde_json::from_str(line).context("understanding a noted secret")?;
        Ok(secret(note.kind, note.value.as_bytes()))
    });
    notes.collect()
}

/// The seed of each token in user-data, as it is written and as bytes.
fn tokens(text: &str) -> Vec<Secret> {
    let mut seeds = Vec::new();
    for rest in text.split(&format!("{PREFIX}-")).skip(1) {
        let word = |at: char| !at.is_ascii_alphanumeric();
        let Some(seed) = rest.split('-').nth(1).and_then(|it| it.split(word).next()) else {
            continue;
        };
        seeds.push(secret(Kind::Token, seed.as_bytes()));
        let bytes = base32::decode(seed);
        seeds.extend(bytes.map(|it| secret(Kind::Token, &it.to_be_bytes())));
    }
    seeds
}

/// As [`tokens`], within other bytes: user-data lies in an ISO as it is.
fn tokens_in(bytes: &[u8]) -> Result<Vec<Secret>> {
    let begin = AhoCorasick::new([format!("{PREFIX}-")]).context("looking for tokens")?;
    let begins = begin.find_iter(bytes).map(|found| found.start());
    let texts = begins.map(|at| bytes[at..].iter().take(TOKEN).copied().collect::<Vec<u8>>());
    Ok(texts
        .flat_map(|text| tokens(&String::from_utf8_lossy(&text)))
        .collect())
}

/// The administrator's private key in a kubeconfig: its number, and each line of it as PEM, by which it is
/// found within base64 as well.
fn kubeconfig(file: &[u8]) -> Result<Vec<Secret>> {
    let config: Value = serde_yaml::from_slice(file).context("reading a kubeconfig")?;
    let key = config["users"][0]["user"]["client-key-data"].as_str();
    let key = STANDARD.decode(key.context("no key in a kubeconfig")?);
    let key = key.ok().context("the key of a kubeconfig is no base64")?;
    let mut all = private(Kind::Kubeconfig, &key);
    let text = String::from_utf8_lossy(&key);
    let body = text.lines().filter(|line| !line.starts_with("-----"));
    all.extend(body.map(|line| secret(Kind::Kubeconfig, line.as_bytes())));
    Ok(all)
}

/// The first password that a hub told when it was ready.
fn greeted(log: &str) -> Vec<Secret> {
    let lines = log.lines();
    let greetings = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let passwords = greetings.filter_map(|it| {
        let password = it["admin_password"].as_str()?;
        Some(secret(Kind::FirstPassword, password.as_bytes()))
    });
    passwords.collect()
}

/// What is secret in the file of a key: the private number of PKCS #8, as DER or PEM, else all of it, as
/// text and, where that is hexadecimal, as bytes.
fn private(kind: Kind, file: &[u8]) -> Vec<Secret> {
    let der = unarmoured(file).unwrap_or_else(|| file.to_vec());
    let at = der.windows(2).position(|two| two == PRIVATE);
    if let Some(number) = at.and_then(|at| der.get(at + 2..at + 34)) {
        return vec![secret(kind, number)];
    }
    let text = file.trim_ascii();
    let mut all = vec![secret(kind, text)];
    all.extend(hex::decode(text).ok().map(|bytes| secret(kind, &bytes)));
    all
}

/// The content of a PEM file (RFC 7468).
fn unarmoured(file: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(file).ok()?;
    let mut lines = text.lines();
    lines.find(|line| line.starts_with("-----BEGIN"))?;
    let body: String = lines
        .take_while(|line| !line.starts_with("-----END"))
        .collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_part_of_every_kind_of_key_is_found() {
        let seed = [7u8; 32];
        let ed25519 = [
            &b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"[..],
            &seed,
        ]
        .concat();
        assert_eq!(
            private(Kind::HostKey, &ed25519),
            [secret(Kind::HostKey, &seed)]
        );
        let body = STANDARD.encode(&ed25519);
        let (one, two) = body.split_at(40);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{one}\n{two}\n-----END PRIVATE KEY-----\n");
        assert_eq!(
            private(Kind::HubKey, pem.as_bytes()),
            [secret(Kind::HubKey, &seed)]
        );
        let text = private(Kind::HubKey, b"00112233445566778899aabbccddeeff\n");
        assert_eq!(text.len(), 2);
        assert_eq!(text[1].bytes[..3], [0, 0x11, 0x22]);
        let made = rcgen::KeyPair::generate().unwrap();
        let number = private(Kind::HubKey, made.serialize_pem().as_bytes());
        assert_eq!(number[0].bytes.len(), 32);
        assert!(
            made.serialize_der()
                .windows(32)
                .any(|part| part == number[0].bytes)
        );
    }

    #[test]
    fn the_key_of_a_kubeconfig_is_found_as_it_is_and_as_it_lies_there() {
        let key = rcgen::KeyPair::generate().unwrap();
        let data = STANDARD.encode(key.serialize_pem());
        let text = format!("users:\n- name: a\n  user: {{ client-key-data: {data} }}\n");
        let found = kubeconfig(text.as_bytes()).unwrap();
        let lies_in = |text: &[u8]| {
            let forms = found.iter().flat_map(|it| super::super::forms(&it.bytes));
            forms
                .map(|(_, form)| form)
                .any(|form| text.windows(form.len()).any(|part| part == form))
        };
        assert!(lies_in(&key.serialize_der()));
        assert!(lies_in(key.serialize_pem().as_bytes()));
        assert!(lies_in(text.as_bytes()));
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(!lies_in(STANDARD.encode(&other).as_bytes()) && !lies_in(other.as_bytes()));
        assert!(kubeconfig(b"users: []").is_err());
    }

    #[test]
    fn seeds_and_passwords_are_found_where_programs_write_them() {
        let token = burin_api::token::Token::from_seed([9; 16]);
        let text = format!("burin:\n  token: \"{}\"\n", token.reveal());
        let found = tokens(&text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].bytes.len(), 26);
        assert_eq!(found[1].bytes, [9; 16]);
        let iso = [&[0xff; 4000], text.as_bytes(), &[0; 4000]].concat();
        assert_eq!(tokens_in(&iso).unwrap(), found);
        assert!(tokens_in(&[0xff; 4000]).unwrap().is_empty());
        let log = "INFO a\n{\"admin_password\":\"first\",\"url\":\"u\"}\nINFO b\n";
        assert_eq!(greeted(log), [secret(Kind::FirstPassword, b"first")]);
        assert!(greeted("{\"admin_password\":null}").is_empty());
    }
}
