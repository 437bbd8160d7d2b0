//! What the QR code of a host that waits to be taken in holds.

use burin_api::claim::{ClaimLink, KeyLabel};

use super::HostIdentity;

/// The link of the QR code: to the owner's own page (`stylus.site.registrationURL` of user-data) as
/// Palette's hosts have it, else to the hub's claim page. None when there is neither.
///
/// The hub's link carries the key of the host, so that nobody else can be taken in by it; the link
/// to a page of one's own carries the host's name only.
pub fn scan_link(
    id: &HostIdentity,
    key: KeyLabel,
    page: Option<&str>,
    hub: Option<&str>,
) -> Option<String> {
    if let Some(page) = page {
        let joint = if page.contains('?') { '&' } else { '?' };
        let name = id.name.clone().unwrap_or_else(|| id.id.to_string());
        return Some(format!("{page}{joint}appliance-id={name}"));
    }
    let host_id = id.id.compact().to_owned();
    hub.map(|hub| ClaimLink { host_id, key }.url(hub))
}

#[cfg(test)]
mod tests {
    use super::super::{Wish, identify};
    use super::*;
    use crate::host::HostFacts;

    #[test]
    fn the_owners_page_comes_before_the_hubs() {
        let key = KeyLabel::of(&"0a".repeat(32)).unwrap();
        let hub = Some("https://hub.example:8443");
        let of = |wish: &Wish| identify(wish, &HostFacts::default(), &|_| None, [7; 16]);
        let unnamed = of(&Wish::default());
        let named = of(&Wish {
            id: Some("edge-7".to_owned()),
            ..Wish::default()
        });
        let id = &unnamed.id;
        let pages = [
            (
                &unnamed,
                Some("https://p.example/x"),
                format!("https://p.example/x?appliance-id={id}"),
            ),
            (
                &named,
                Some("https://p.example/x?y=1"),
                "https://p.example/x?y=1&appliance-id=edge-7".to_owned(),
            ),
            (
                &unnamed,
                None,
                format!(
                    "HTTPS://HUB.EXAMPLE:8443/R/1{}{}",
                    id.compact(),
                    key.compact()
                ),
            ),
        ];
        for (id, page, want) in pages {
            assert_eq!(scan_link(id, key, page, hub), Some(want));
        }
        assert_eq!(scan_link(&unnamed, key, None, None), None);
    }
}
