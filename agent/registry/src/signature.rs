//! Whether an image is signed: by what lies beside it in the same registry.

use burin_core::cosign::{self, Found, Key, Refusal, Verdict};
use burin_core::oci::{Digest, DocumentError};

use crate::client::Registry;
use crate::error::{Cause, Error};
use crate::image::{Expected, Image, check_digest};

/// What the signatures of one image that were looked at so far say, short of a good one.
struct Seen {
    image: Digest,
    /// Signatures by whatever key.
    found: usize,
    /// The last thing that was odd about one.
    odd: Option<Refusal>,
}

impl Registry {
    /// The image behind a digest for one architecture, when one of the keys signed it: what the digest
    /// names (an index, mostly) or the machine's manifest in it.
    ///
    /// # Errors
    /// As [`Registry::image`] and [`Registry::signed`].
    pub async fn signed_image(
        &self,
        repository: &str,
        top: &Digest,
        arch: &str,
        keys: &[Key],
    ) -> Result<Image, Error> {
        let image = self.image(repository, &top.to_string(), arch).await?;
        let manifest = check_digest(&image.manifest)
            .map_err(|cause| Error::new("reading a signed image", cause))?;
        let images = if manifest == *top {
            vec![manifest]
        } else {
            vec![*top, manifest]
        };
        self.signed(repository, &images, keys).await?;
        Ok(image)
    }

    /// Looks for a signature of one of `images` (an index and the manifest in it, say) by one of the
    /// keys: first where cosign has always put it, then among the referrers.
    ///
    /// # Errors
    /// [`Cause::Signature`] when there is no good one, or what kept the registry from being read.
    pub async fn signed(
        &self,
        repository: &str,
        images: &[Digest],
        keys: &[Key],
    ) -> Result<(), Error> {
        let mut refusal = None;
        for image in images {
            let doing = format!(
                "looking for the signature of {}/{repository}@{image}",
                self.host()
            );
            let mut seen = Seen {
                image: *image,
                found: 0,
                odd: None,
            };
            if self.attached(&doing, repository, keys, &mut seen).await?
                || self.referred(&doing, repository, keys, &mut seen).await?
            {
                return Ok(());
            }
            // What was found wrong says more than that nothing was found.
            let own = seen.refusal();
            if !matches!((&refusal, &own), (Some(_), Refusal::Unsigned(_))) {
                refusal = Some(own);
            }
        }
        let cause = match refusal {
            Some(refusal) => Cause::Signature(refusal),
            None => Cause::Settings("no image was named".into()),
        };
        let doing = format!("looking for signatures in {}/{repository}", self.host());
        Err(Error::new(doing, cause))
    }

    /// Signatures under the tag that the image's digest makes.
    async fn attached(
        &self,
        doing: &str,
        repository: &str,
        keys: &[Key],
        seen: &mut Seen,
    ) -> Result<bool, Error> {
        let path = format!("manifests/{}", cosign::attached_tag(&seen.image));
        let Some(manifest) = self.small(doing, repository, &path, None).await? else {
            return Ok(false);
        };
        let attached = match cosign::attached(&manifest) {
            Ok(attached) => attached,
            Err(err) => return Ok(seen.unreadable(&err)),
        };
        for one in attached {
            let expected = Expected {
                digest: one.payload,
                size: Some(one.size),
            };
            let path = format!("blobs/{}", one.payload);
            let payload = self.small(doing, repository, &path, Some(expected)).await?;
            let found = payload.map(|payload| Found::simple(payload, one.signature));
            if found.is_some_and(|found| seen.judge(&found, keys)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bundles among the manifests that name the image as their subject.
    async fn referred(
        &self,
        doing: &str,
        repository: &str,
        keys: &[Key],
        seen: &mut Seen,
    ) -> Result<bool, Error> {
        let path = format!("referrers/{}", seen.image);
        let mut list = self.small(doing, repository, &path, None).await?;
        if list.is_none() {
            let path = format!("manifests/{}", cosign::referrers_tag(&seen.image));
            list = self.small(doing, repository, &path, None).await?;
        }
        let Some(list) = list else { return Ok(false) };
        let referrers = match cosign::referrers(&list) {
            Ok(referrers) => referrers,
            Err(err) => return Ok(seen.unreadable(&err)),
        };
        for one in referrers {
            let expected = Expected::from(one);
            let path = format!("manifests/{}", one.digest);
            let Some(manifest) = self.small(doing, repository, &path, Some(expected)).await? else {
                continue;
            };
            let blob = match cosign::bundle_of(&manifest, &seen.image) {
                Ok(Some(blob)) => blob,
                Ok(None) => continue,
                Err(err) => {
                    seen.unreadable(&err);
                    continue;
                }
            };
            let path = format!("blobs/{}", blob.digest);
            let expected = Expected::from(blob);
            let bundle = self.small(doing, repository, &path, Some(expected)).await?;
            match bundle.map(|bytes| Found::bundle(&bytes)) {
                Some(Ok(found)) if seen.judge(&found, keys) => return Ok(true),
                Some(Err(err)) => drop(seen.unreadable(&err)),
                _ => {}
            }
        }
        Ok(false)
    }

    /// A small document; none when the registry has none there, or another one.
    async fn small(
        &self,
        doing: &str,
        repository: &str,
        path: &str,
        expected: Option<Expected>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let most = cosign::MAX_DOCUMENT;
        let fetched = self.document(doing, repository, path, expected, most).await;
        match fetched {
            Ok(fetched) => Ok(Some(fetched.body)),
            // One entry that is damaged, too long or gone hides no good one beside it.
            Err(error) if matches!(error.cause, Cause::NotFound | Cause::Content(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<cosign::Referrer> for Expected {
    fn from(it: cosign::Referrer) -> Self {
        Self {
            digest: it.digest,
            size: Some(it.size),
        }
    }
}

impl Seen {
    /// Whether the signature is good.
    fn judge(&mut self, found: &Found, keys: &[Key]) -> bool {
        let image = self.image;
        self.found += 1;
        match found.judge(&image, keys) {
            Verdict::Good => return true,
            Verdict::OtherKey => {}
            Verdict::OtherImage(named) => self.odd = Some(Refusal::OtherImage { image, named }),
            Verdict::Unreadable(why) => self.odd = Some(Refusal::Unreadable { image, why }),
        }
        false
    }

    /// Remembers a document that is none; it is no good signature.
    fn unreadable(&mut self, err: &DocumentError) -> bool {
        self.odd = Some(Refusal::Unreadable {
            image: self.image,
            why: err.to_string(),
        });
        false
    }

    fn refusal(self) -> Refusal {
        let (image, found) = (self.image, self.found);
        match self.odd {
            Some(odd) => odd,
            None if found > 0 => Refusal::OtherKey { image, found },
            None => Refusal::Unsigned(image),
        }
    }
}
