//! Small values of a profile.

/// Seconds of a duration: a number and `s`, `m`, `h` or `d`, several parts joined (`1h30m`).
pub fn duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let unit = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end + 1..];
    }
    Some(total)
}

/// Whether a profile or user-data may put an argument on the kernel's command line.
///
/// What chooses the root, the init or the verified digests is burin's alone: an image that could be
/// started with `init=/bin/sh` would be no verified host. The kernel takes `-` and `_` in names for
/// the same and strips quotes, so both are looked at the same way.
///
/// # Errors
/// Why not, as the end of a sentence that begins with the argument.
pub fn check_argument(argument: &str) -> Result<(), &'static str> {
    if argument.is_empty() || argument.len() > 256 {
        return Err("is empty or too long");
    }
    if !argument.bytes().all(|b| b.is_ascii_graphic()) || argument.contains(['"', '\'', '\\']) {
        return Err("has a quote, a space or a special character in it");
    }
    if argument == "--" {
        return Err("would end the kernel's own arguments");
    }
    let name = argument
        .split('=')
        .next()
        .unwrap_or(argument)
        .replace('-', "_");
    let forbidden = matches!(name.as_str(), "init" | "rdinit" | "root")
        || name.starts_with("composefs")
        || name.starts_with("burin.")
        || name == "burin"
        || name.starts_with("systemd.debug")
        || name.starts_with("rd.systemd.debug");
    if forbidden {
        return Err("is set by burin alone");
    }
    Ok(())
}
