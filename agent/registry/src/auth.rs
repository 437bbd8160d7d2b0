use reqwest::Url;
use serde::Deserialize;

use crate::access::Access;

/// Longest `WWW-Authenticate` value that is looked at, bytes.
const LONGEST_CHALLENGE: usize = 4096;

/// What a registry asks for with a 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads one `WWW-Authenticate` value (RFC 9110 section 11.6.1); `None` if it is of no use here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST_CHALLENGE {
            return None;
        }
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (key, value) in parameters(rest)? {
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
        })
    }
}

/// Splits `key="value", key=value`; `None` if it is malformed.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_string(), &after[end..])
            }
        };
        found.push((key.trim().to_string(), value));
        rest = after.trim_start_matches([' ', ',']);
    }
    Some(found)
}

fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// The URL of the token request, if the realm may be asked.
///
/// Only the registry itself or the pinned realm is asked, so that a registry which was taken over,
/// or a proxy, cannot send the credentials elsewhere.
pub(crate) fn token_url(
    access: &Access,
    base: &Url,
    realm: &str,
    service: Option<&str>,
    repository: &str,
) -> Result<Url, String> {
    let mut url =
        Url::parse(realm).map_err(|e| format!("the token service {realm:?} is no URL: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the token service's URL carries a user".to_string());
    }
    let own = url.origin() == base.origin();
    let pinned = access
        .token_realm
        .as_deref()
        .and_then(|pinned| Url::parse(pinned).ok())
        .is_some_and(|pinned| pinned.origin() == url.origin() && pinned.path() == url.path());
    if !own && !pinned {
        return Err(format!(
            "it sends logins to {realm:?}, which is neither the registry nor its listed token realm; \
             if that is right, list it as the registry's token realm"
        ));
    }
    if url.scheme() != "https" && !(access.plain_http && url.scheme() == "http") {
        return Err(format!("its token service {realm:?} is not https"));
    }
    url.set_fragment(None);
    url.set_query(None);
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = service {
            query.append_pair("service", service);
        }
        query.append_pair("scope", &format!("repository:{repository}:pull"));
    }
    Ok(url)
}

/// The answer of a token service; both names are in use.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) token: Option<String>,
    pub(crate) access_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.into(),
                service: service.map(Into::into),
            })
        };
        for (text, want) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a/t\",service=\"s, x\",scope=\"repository:a:pull\"",
                bearer("https://a/t", Some("s, x")),
            ),
            (
                "bearer service=s , realm=https://a/t",
                bearer("https://a/t", Some("s")),
            ),
            ("Bearer realm=\"a\\\"b\"", bearer("a\"b", None)),
            ("Bearer service=\"x\"", None),
            ("Bearer realm=\"open", None),
            ("Negotiate abc", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(text), want, "{text:?}");
        }
    }

    #[test]
    fn only_the_registry_and_the_pinned_realm_are_asked() {
        let access = |plain_http: bool, realm: Option<&str>| Access {
            host: "r.example".into(),
            plain_http,
            token_realm: realm.map(Into::into),
            ..Access::default()
        };
        for (plain, pinned, realm, allowed) in [
            (false, None, "https://r.example/token", true),
            (false, None, "https://r.example:444/token", false),
            (false, None, "http://r.example/token", false),
            (false, None, "https://evil.example/token", false),
            (
                false,
                Some("https://auth.example/token"),
                "https://auth.example/token",
                true,
            ),
            (
                false,
                Some("https://auth.example/token"),
                "https://auth.example/other",
                false,
            ),
            (
                false,
                Some("https://auth.example/token"),
                "https://auth.example.evil/token",
                false,
            ),
            (
                false,
                Some("http://auth.example/token"),
                "http://auth.example/token",
                false,
            ),
            (false, None, "https://u:p@r.example/token", false),
            (true, None, "http://r.example/token", true),
            (false, None, "file:///etc/passwd", false),
        ] {
            let access = access(plain, pinned);
            let base = access.base().unwrap();
            let url = token_url(&access, &base, realm, Some("svc"), "a/b");
            assert_eq!(url.is_ok(), allowed, "{realm}: {url:?}");
            if let Ok(url) = url {
                assert_eq!(
                    url.query(),
                    Some("service=svc&scope=repository%3Aa%2Fb%3Apull")
                );
            }
        }
    }
}
