//! Streams one blob of an image into the store.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use burin_api::desired::{self, Blob};
use burin_api::sealed::HostSecrets;
use burin_core::merge::Refusal;
use burin_core::userdata::{self, UserData};
use burin_registry::{Access, BlobRef, Cause, Credentials, LayerSpec, Proxy, Registry, Retry};

use crate::context::Context;
use crate::steps::{Failure, Outcome};
use crate::store::{LayerExpect, Store, TarError};

/// The step's name in events.
const STEP: &str = "pull";

/// Pulls one layer and imports it: download, decompression, checks and store are one stream. A
/// layer that is there already is not pulled again.
///
/// # Errors
/// When the registry cannot be read, the layer is not what the release says, or the disk fails.
pub async fn perform(
    ctx: &Context,
    image: &str,
    registry: &str,
    repository: &str,
    blob: &Blob,
) -> Result<Outcome> {
    let store = Store::of(&ctx.paths)?;
    if store.has_layer(&blob.diff_id) {
        ctx.meter.report(blob.unpacked);
        return Ok(Outcome::Done);
    }
    let (access, repository) = access(ctx, registry, repository).map_err(|why| {
        Failure::never(why, "Publish the profile again, or correct the user-data.")
    })?;
    let registry = Registry::new(access)
        .map_err(|error| classify(error.into()))?
        .with_retry(retry(ctx));
    let spec = LayerSpec {
        blob: BlobRef {
            digest: blob.digest.clone(),
            size: blob.size,
            media_type: blob.media_type.clone(),
        },
        // The store checks the diff-id itself: hashing the tar twice would cost a tenth of the pull.
        diff_id: None,
        most_unpacked: blob.unpacked,
    };
    let stream = registry
        .layer(&repository, &spec, |_| {})
        .map_err(|error| classify(error.into()))?;
    let expect = LayerExpect {
        diff_id: blob.diff_id.clone(),
        unpacked: blob.unpacked,
        entries: blob.entries,
    };
    let meter = ctx.meter.clone();
    let import = move || store.import_layer(&expect, stream, &|bytes| meter.report(bytes));
    let imported = tokio::task::spawn_blocking(import);
    imported
        .await
        .context("the import's thread died")?
        .map_err(|error| classify(error).context(format!("pulling a layer of image {image}")))?;
    Ok(Outcome::Done)
}

/// How the registry is reached, and the repository there: what the release says of it, with the
/// site's rules, credentials, roots and way out.
pub(crate) fn access(
    ctx: &Context,
    host: &str,
    repository: &str,
) -> Result<(Access, String), String> {
    let release = ctx.release().map_err(|error| error.to_string())?;
    let user_data = userdata::parse(&ctx.user_data_text.0).map_err(|problems| {
        let first = problems.into_iter().next();
        first.map_or_else(
            || "the user-data has a problem".to_owned(),
            |problem| format!("the user-data has a problem: {problem}"),
        )
    })?;
    let (at, repository) = user_data.mapped(host, repository);
    let listed = release.registries.iter().find(|r| r.host == at).cloned();
    let listed = match listed {
        Some(listed) => listed,
        // The owner of the host named it, and the digests are those of the release.
        None if at != host => desired::Registry {
            host: at,
            plain_http: false,
            ca: Vec::new(),
            token_realm: None,
        },
        None => {
            return Err(format!(
                "the release takes a layer from {host}, which is not in its list of registries"
            ));
        }
    };
    let secrets = Arc::clone(&ctx.secrets.borrow());
    Ok((join(&listed, &user_data, &secrets), repository))
}

/// Credentials of the user-data come first: the owner of the host may know better than the hub.
fn join(listed: &desired::Registry, user_data: &UserData, secrets: &HostSecrets) -> Access {
    let own = user_data.registries.iter().find(|r| r.host == listed.host);
    let mut ca = listed.ca.clone();
    ca.extend(user_data.network.ca.iter().cloned());
    ca.extend(own.into_iter().flat_map(|own| own.ca.iter().cloned()));
    let credentials = own.and_then(|own| {
        Some(Credentials {
            username: own.username.clone()?,
            password: own.password.as_ref()?.expose().to_owned(),
        })
    });
    let given = secrets.registries.iter().find(|it| it.host == listed.host);
    // Whoever gave the password says who may see it.
    let token_realm = match (&credentials, given) {
        (None, Some(_)) => listed.token_realm.clone(),
        _ => own
            .and_then(|own| own.token_realm.clone())
            .or_else(|| listed.token_realm.clone()),
    };
    let credentials = credentials.or_else(|| {
        given.map(|given| Credentials {
            username: given.username.clone(),
            password: given.password.clone(),
        })
    });
    let proxy = &user_data.network.proxy;
    let url = |url: &Option<userdata::Secret>| url.as_ref().map(|url| url.expose().to_owned());
    let proxy = (proxy.http.is_some() || proxy.https.is_some()).then(|| Proxy {
        http: url(&proxy.http),
        https: url(&proxy.https),
        except: proxy.no.join(","),
    });
    Access {
        host: listed.host.clone(),
        endpoint: None,
        plain_http: listed.plain_http || own.is_some_and(|own| own.plain_http),
        ca,
        token_realm,
        credentials,
        proxy,
    }
}

/// Repeats inside one pull are for cuts: the stream goes on where it was. What lasts longer is the
/// plan's business, which waits longer and starts the step again.
fn retry(ctx: &Context) -> Retry {
    let events = ctx.events.clone();
    Retry {
        report: Arc::new(move |error, pause| {
            let error = anyhow::anyhow!("{error}");
            events.retrying(STEP, &error, pause);
        }),
        ..Retry::default()
    }
}

/// Says what trying again can bring.
pub(crate) fn classify(error: anyhow::Error) -> anyhow::Error {
    use std::time::Duration;
    let failure = if let Some(cause) = registry_cause(&error) {
        match cause {
            Cause::Signature(_) => Failure::never(
                "the image is not signed as it has to be",
                "Sign it with `cosign sign --key`, or correct the list of keys.",
            ),
            Cause::Settings(_) | Cause::Refused(_) => Failure::never(
                "the registry cannot be used",
                "Correct the registry in the hub or in the user-data.",
            ),
            Cause::Denied(_) => Failure::after(
                Duration::from_secs(60),
                "the registry does not let this host in",
            )
            .advise(
                "Check its credentials: in the hub with `burin-hub registry add`, or in the user-data.",
            ),
            // Whoever looks after the registry can put it right meanwhile.
            Cause::Tls(_) => Failure::after(
                Duration::from_secs(60),
                "there is no secure connection to the registry",
            ),
            Cause::NotFound => Failure::after(
                Duration::from_secs(120),
                "the registry does not have the layer",
            )
            .advise("Push the image again; the digest must stay the same."),
            Cause::Content(_) => Failure::after(
                Duration::from_secs(30),
                "the registry, or something on the way, does not deliver the layer that was published",
            ),
            Cause::Busy(_) | Cause::Server(..) | Cause::Connection(_) | Cause::Stalled(_) => {
                Failure::again("the registry cannot be read now")
            }
        }
    } else if find::<Refusal>(&error).is_some() || find::<TarError>(&error).is_some() {
        Failure::never(
            "the layer is refused",
            "Build the image again without what is named here.",
        )
    } else if disk_is_full(&error) {
        Failure::never(
            "the system partition is full",
            "Make it bigger with `install.system-size`, or the image smaller.",
        )
    } else {
        Failure::again("the layer cannot be stored")
    };
    failure.because(error).into()
}

fn find<T: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// The registry's error, also inside an I/O error, whose own chain leaves it out.
fn registry_cause(error: &anyhow::Error) -> Option<&Cause> {
    let direct = find::<burin_registry::Error>(error);
    let inner = || {
        error.chain().find_map(|cause| {
            let io: &std::io::Error = cause.downcast_ref()?;
            io.get_ref()?.downcast_ref::<burin_registry::Error>()
        })
    };
    direct.or_else(inner).map(|error| &error.cause)
}

fn disk_is_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        let errno = cause.downcast_ref::<rustix::io::Errno>();
        io == Some(std::io::ErrorKind::StorageFull) || errno == Some(&rustix::io::Errno::NOSPC)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burin_api::sealed::RegistryLogin;
    use burin_core::backoff::Class;

    #[test]
    fn the_sites_credentials_meet_what_the_hub_lists() {
        let listed = desired::Registry {
            host: "r.example:5000".into(),
            plain_http: false,
            ca: vec!["HUB".into()],
            token_realm: Some("https://auth.example/token".into()),
        };
        let user_data = |registries| UserData {
            registries,
            ..UserData::default()
        };
        let hub = |host: &str| HostSecrets {
            registries: vec![RegistryLogin {
                host: host.into(),
                username: "u".into(),
                password: "hub".into(),
            }],
        };
        let own = |host: &str| userdata::RegistryCredentials {
            host: host.into(),
            username: Some("u".into()),
            password: Some(userdata::Secret::new("p")),
            ca: vec!["SITE".into()],
            ..userdata::RegistryCredentials::default()
        };
        let joined = join(
            &listed,
            &user_data(vec![own("other.example"), own("r.example:5000")]),
            &hub("r.example:5000"),
        );
        assert_eq!(joined.ca, ["HUB", "SITE"]);
        assert_eq!(joined.token_realm, listed.token_realm);
        assert_eq!(joined.credentials.unwrap().password, "p");
        let other = user_data(vec![own("other.example")]);
        let joined = join(&listed, &other, &hub("other.example"));
        assert!(
            joined.credentials.is_none(),
            "another registry's password stays where it is"
        );
        assert_eq!(joined.ca, ["HUB"]);
        let site = userdata::RegistryCredentials {
            token_realm: Some("https://site.example/token".into()),
            username: None,
            password: None,
            ..own("r.example:5000")
        };
        let joined = join(&listed, &user_data(vec![site]), &hub("r.example:5000"));
        assert_eq!(joined.credentials.unwrap().password, "hub");
        assert_eq!(
            joined.token_realm, listed.token_realm,
            "the hub's password goes where the hub says"
        );
    }

    #[test]
    fn the_class_of_an_error_says_whether_trying_again_helps() {
        let registry = |cause| {
            let error = burin_registry::Error {
                doing: "pulling".into(),
                cause,
            };
            let io = std::io::Error::other(error);
            anyhow::Error::new(TarError::Read(io)).context("importing layer x")
        };
        let refusal = anyhow::Error::new(Refusal::Duplicate("a".into())).context("importing");
        let full = anyhow::Error::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
        for (error, class) in [
            (registry(Cause::Server(503, None)), Some(Class::Again)),
            (registry(Cause::Refused("x".into())), Some(Class::Never)),
            (registry(Cause::Content("x".into())), None),
            (registry(Cause::Tls("x".into())), None),
            (refusal, Some(Class::Never)),
            (full, Some(Class::Never)),
        ] {
            let found = Failure::class_of(&classify(error));
            match class {
                Some(class) => assert_eq!(found, class),
                None => assert!(matches!(found, Class::After(_))),
            }
        }
    }
}
