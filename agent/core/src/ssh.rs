//! OpenSSH's text form of an Ed25519 host key (openssh-portable `PROTOCOL.key`, RFC 8709).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const KIND: &[u8] = b"ssh-ed25519";
/// Block size of the cipher `none`, to which the private part is padded.
const BLOCK: usize = 8;
/// Characters in a line of the armour.
const LINE: usize = 70;

/// One line for `*.pub` and `known_hosts`.
#[must_use]
pub fn public_key(public: &[u8; 32]) -> String {
    format!(
        "ssh-ed25519 {} burin\n",
        STANDARD.encode(public_blob(public))
    )
}

/// The file that `sshd` reads, not encrypted. `check` is any number; a reader compares its two
/// copies.
#[must_use]
pub fn private_key(seed: &[u8; 32], public: &[u8; 32], check: u32) -> String {
    let mut private = Vec::new();
    private.extend_from_slice(&check.to_be_bytes());
    private.extend_from_slice(&check.to_be_bytes());
    string(&mut private, KIND);
    string(&mut private, public);
    string(&mut private, &[seed.as_slice(), public.as_slice()].concat());
    string(&mut private, b"burin");
    for pad in 1_u8.. {
        if private.len().is_multiple_of(BLOCK) {
            break;
        }
        private.push(pad);
    }
    let mut out = b"openssh-key-v1\0".to_vec();
    string(&mut out, b"none");
    string(&mut out, b"none");
    string(&mut out, b"");
    out.extend_from_slice(&1_u32.to_be_bytes());
    string(&mut out, &public_blob(public));
    string(&mut out, &private);
    armour(&STANDARD.encode(out))
}

fn public_blob(public: &[u8; 32]) -> Vec<u8> {
    let mut blob = Vec::new();
    string(&mut blob, KIND);
    string(&mut blob, public);
    blob
}

/// RFC 4251 `string`: length and bytes.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn armour(encoded: &str) -> String {
    let mut text = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let mut rest = encoded;
    while !rest.is_empty() {
        let (line, left) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = left;
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_one_line_of_the_known_form() {
        let line = public_key(&[7; 32]);
        // The blob starts with the length and name of the key's kind.
        assert!(
            line.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"),
            "{line}"
        );
        assert!(line.ends_with(" burin\n"));
    }

    #[test]
    fn the_private_part_is_padded_to_blocks() {
        let text = private_key(&[1; 32], &[2; 32], 3);
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = STANDARD.decode(body).unwrap();
        assert!(bytes.starts_with(b"openssh-key-v1\0"));
        assert!(text.lines().all(|line| line.len() <= LINE));
    }
}
