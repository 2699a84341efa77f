//! Referrers of a manifest: asks for them by the referrers API, or by the tag of their list where there is none
//! (distribution-spec, "Listing Referrers", "Referrers Tag Schema").

use crate::client::pages::Pages;
use crate::client::{FetchedManifest, Request, refusal};
use crate::url::encode;
use crate::{Error, Repository, Result};
use layerstone_oci::{Descriptor, Index, media_type, referrers_tag};
use layerstone_store::{Digest, Limit};
use std::collections::BTreeSet;

const WHAT: &str = "cannot list the referrers";
/// Statuses of a registry without the API. The specification says 404; 405 and 501 are those of paths that a registry does
/// not know (RFC 9110, section 15).
const NO_API: [u16; 3] = [404, 405, 501];

/// The list of a subject's referrers under its tag, and what names this version of it.
pub(crate) struct TaggedList {
    pub index: Index,
    /// The strong entity tag of the answer (RFC 9110, section 8.8.3).
    pub version: Option<String>,
}

impl Repository {
    /// What refers to a manifest, in the registry's order: all of it, or what is of this type. The subject need not be there.
    /// What an entry says is not compared with its manifest.
    ///
    /// # Errors
    ///
    /// The registry does not answer, or with no list; there are more than [`Limit::Manifests`], more pages than
    /// [`Limit::ReferrerPages`], or lists of more bytes than [`Limit::Descriptions`]; the next page is one of another server.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Descriptor>> {
        let listed = match self.referrers_of_api(subject, artifact_type)? {
            Some(listed) => listed,
            // What is no list there counts as none (distribution-spec, "Listing Referrers").
            None => self.tagged_list(subject).map(|it| it.index.manifests).or_else(none_if_no_list)?,
        };
        let mut seen = BTreeSet::new();
        let fits = |it: &Descriptor| artifact_type.is_none_or(|wanted| it.artifact_type() == Some(wanted));
        Ok(listed.into_iter().filter(|it| fits(it) && seen.insert(it.digest)).collect())
    }

    /// What the API answers, page by page; none if there is no API. It may have filtered by the type or not.
    pub(crate) fn referrers_of_api(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let mut url = self.registry.url(&format!("{}/referrers/{subject}", self.name));
        if let Some(kind) = artifact_type {
            url = url.with("artifactType", &encode(kind));
        }
        let limits = &self.registry.options.limits;
        let (mut listed, mut read, mut asked) = (Vec::new(), 0, BTreeSet::new());
        let mut pages = Pages::new(Limit::ReferrerPages);
        loop {
            let request = Request { what: WHAT, method: "GET", url: &url, headers: &[("accept", media_type::INDEX)] };
            let wrong = |cause: String| Error::Protocol { what: WHAT, url: url.to_string(), cause };
            pages.check_next(&request, &self.registry)?;
            let answer = self.registry.retry().run(|| {
                let reply = self.registry.request_once(&self.scope, &request)?;
                match reply.status() {
                    200 => {}
                    status if NO_API.contains(&status) && !pages.have_begun() => return Ok(None),
                    _ => return Err(refusal(&request, reply)),
                }
                Ok(Some((self.registry.next_page(&request, &reply)?, self.read(&request, reply)?)))
            })?;
            let Some((next, bytes)) = answer else { return Ok(None) };
            pages.count();
            read += bytes.len() as u64;
            limits.check(Limit::Descriptions, read).map_err(|exceeded| wrong(exceeded.to_string()))?;
            let page = Index::parse(&bytes, &url.to_string(), limits)?;
            listed.extend(page.manifests);
            limits.check(Limit::Manifests, listed.len() as u64).map_err(|exceeded| wrong(exceeded.to_string()))?;
            asked.insert(url.text());
            match next {
                Some(next) if !asked.contains(&next.text()) => url = next,
                _ => return Ok(Some(listed)),
            }
        }
    }

    /// The list under the tag, an empty one if there is none.
    ///
    /// # Errors
    ///
    /// The registry does not answer, or the tag leads to something else than an index.
    pub(crate) fn tagged_list(&self, subject: &Digest) -> Result<TaggedList> {
        let tag = referrers_tag(subject);
        let (FetchedManifest { descriptor, bytes }, version) = match self.manifest_version(&tag) {
            Err(Error::NotFound { .. }) => {
                return Ok(TaggedList { index: Index::new(Vec::new(), Default::default()), version: None });
            }
            found => found?,
        };
        let name = format!("{}/{}:{tag}", self.registry.host, self.name);
        let limits = &self.registry.options.limits;
        if !media_type::is_index(&descriptor.media_type) {
            return Err(Error::NoReferrerList { name, found: descriptor.media_type });
        }
        let index = Index::parse(&bytes, &name, limits)?;
        let checked = limits.check(Limit::Manifests, index.manifests.len() as u64);
        checked.map_err(|exceeded| Error::Protocol { what: WHAT, url: name, cause: exceeded.to_string() })?;
        Ok(TaggedList { index, version })
    }
}

/// Nothing, where a tag leads to something else than a list.
fn none_if_no_list(error: Error) -> Result<Vec<Descriptor>> {
    if let Error::NoReferrerList { .. } = error { Ok(Vec::new()) } else { Err(error) }
}
