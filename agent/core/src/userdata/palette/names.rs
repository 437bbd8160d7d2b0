//! How Palette's keys name a host: `name`, `prefix`, `deviceUIDPaths`, `registrationURL`.

use crate::identity::{UidPath, is_name, pattern};
use crate::userdata::UserData;
use crate::yaml::{Map, Node, Reader};

const NAME: &str =
    "1 to 128 characters, none of / ? # & + % , $ ~ ! @ * ( ) { } | = ; : < > ' . ^ \"";
/// Longest address of a registration page, in bytes: a QR code has to hold it.
const PAGE: usize = 160;
/// Most files that are tried.
const PATHS: usize = 16;

pub(super) fn read(site: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    if let Some(node) = site.get("name")
        && let Some(name) = reader.text_of(node, "stylus.site.name")
    {
        match name.as_str() {
            "$random" => data.host.naming.random = true,
            name if is_name(name) => data.host.id = Some(name.to_owned()),
            name => reader.error(
                node,
                format!("`stylus.site.name`: `{name}` cannot be the name of a host"),
                NAME,
            ),
        }
    }
    if let Some(node) = site.get("prefix")
        && let Some(prefix) = reader.text_of(node, "stylus.site.prefix")
    {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if (1..=64).contains(&prefix.len()) && prefix.chars().all(fine) {
            data.host.naming.prefix = Some(prefix);
        } else {
            let message = format!("`stylus.site.prefix`: `{prefix}` cannot begin a name");
            reader.error(node, message, "1 to 64 letters, digits and `-`");
        }
    }
    let files = reader.list(site, "deviceUIDPaths");
    for (at, node) in files.iter().enumerate() {
        if at == PATHS {
            let message = format!("`stylus.site.deviceUIDPaths` has {} files", files.len());
            reader.error(node, message, format!("at most {PATHS}"));
            break;
        }
        if let Some(path) = uid_path(node, reader) {
            data.host.naming.paths.push(path);
        }
    }
    registration_url(site, data, reader);
}

fn uid_path(node: &Node, reader: &mut Reader) -> Option<UidPath> {
    let mut map = reader.map(node, "stylus.site.deviceUIDPaths")?;
    let file = map.get("name");
    let regex = map.get("regex");
    map.finish(reader);
    let path = file.and_then(|it| reader.text_of(it, "stylus.site.deviceUIDPaths.name"));
    let Some(path) = path.filter(|path| is_plain(path)) else {
        let message = "`stylus.site.deviceUIDPaths`: `name` is missing or no absolute path";
        reader.error(
            node,
            message,
            "for example `/sys/class/dmi/id/board_serial`",
        );
        return None;
    };
    if !["/sys/", "/proc/"].iter().any(|top| path.starts_with(top)) {
        let message = format!("`{path}` is read if it is there; nothing makes it in the installer");
        reader.warn(file.unwrap_or(node), message);
    }
    let regex = match regex {
        None => None,
        Some(node) => {
            let text = reader.text_of(node, "stylus.site.deviceUIDPaths.regex")?;
            if let Err(why) = pattern(&text) {
                let message = format!("`stylus.site.deviceUIDPaths.regex`: {why}");
                reader.error(node, message, "a pattern in RE2's syntax");
                return None;
            }
            Some(text).filter(|text| !text.is_empty())
        }
    };
    Some(UidPath { path, regex })
}

fn is_plain(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 1024 && path.split('/').all(|part| part != "..")
}

/// The page of the owner: any address that a phone can open.
fn registration_url(site: &mut Map<'_>, data: &mut UserData, reader: &mut Reader) {
    let Some(node) = site.get("registrationURL") else {
        return;
    };
    let Some(url) = reader.text_of(node, "stylus.site.registrationURL") else {
        return;
    };
    if url.is_empty() {
        return;
    }
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let fine = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        && url.len() <= PAGE
        && url.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if fine {
        data.host.registration_url = Some(url);
    } else {
        reader.error(
            node,
            "`stylus.site.registrationURL` cannot be put into a QR code",
            format!("https://host/path of at most {PAGE} plain characters, without `#`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::identity::{Naming, UidPath};
    use crate::userdata::{UserData, parse};

    fn site(text: &str) -> Result<UserData, Vec<String>> {
        let text = format!("#cloud-config\nstylus:\n  site:\n    {text}\n");
        parse(&text).map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn published_names_are_taken_over() {
        let data = site(
            "{ prefix: shop, registrationURL: 'https://p.example/register', deviceUIDPaths: [ { name: /sys/class/dmi/id/board_serial, regex: 'CN.*' }, { name: /etc/palette/metadata-regex } ] }",
        )
        .unwrap();
        let want = Naming {
            random: false,
            prefix: Some("shop".to_owned()),
            paths: vec![
                UidPath {
                    path: "/sys/class/dmi/id/board_serial".to_owned(),
                    regex: Some("CN.*".to_owned()),
                },
                UidPath {
                    path: "/etc/palette/metadata-regex".to_owned(),
                    regex: None,
                },
            ],
        };
        assert_eq!(data.host.naming, want);
        let page = data.host.registration_url.as_deref();
        assert_eq!(page, Some("https://p.example/register"));
        let told = data.warnings[0].to_string();
        assert!(told.contains("/etc/palette/metadata-regex"), "{told}");
        assert!(site("{ name: $random }").unwrap().host.naming.random);
        assert_eq!(
            site("{ registrationURL: '' }").unwrap().host,
            UserData::default().host
        );
    }

    #[test]
    fn what_can_name_nothing_is_an_error_with_its_place() {
        for (text, want) in [
            ("{ name: a.b }", "4:13: error: `stylus.site.name`"),
            ("{ prefix: 'a b' }", "`stylus.site.prefix`"),
            ("{ deviceUIDPaths: [ { regex: a } ] }", "no absolute path"),
            (
                "{ deviceUIDPaths: [ { name: etc/id } ] }",
                "no absolute path",
            ),
            (
                "{ deviceUIDPaths: [ { name: /sys/../etc/shadow } ] }",
                "no absolute path",
            ),
            (
                "{ deviceUIDPaths: [ { name: /sys/id, regex: '(' } ] }",
                "regex`",
            ),
            (
                "{ deviceUIDPaths: [ { name: /sys/id, rgex: a } ] }",
                "`regex`, perhaps",
            ),
            ("{ registrationURL: 'ftp://x' }", "QR code"),
            ("{ registrationURL: 'https://' }", "QR code"),
            ("{ registrationURL: 'https://x/ y' }", "QR code"),
        ] {
            let told = site(text).unwrap_err().join("\n");
            assert!(told.contains(want), "{want} in {told}");
        }
    }
}
