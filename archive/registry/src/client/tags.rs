//! Lists the tags of a repository, page by page (distribution-spec, "Listing Tags"; RFC 8288).

use crate::client::Request;
use crate::client::pages::Pages;
use crate::{Error, Repository, Result};
use layerstone_store::Limit;
use serde::Deserialize;

const WHAT: &str = "cannot list the tags";

#[derive(Deserialize)]
struct Page {
    /// None where a repository has no tag left.
    tags: Option<Vec<String>>,
}

impl Repository {
    /// The tags, sorted by their bytes: registries give them in any order.
    ///
    /// # Errors
    ///
    /// There is no such repository, or the answer is no list; there are more pages than [`Limit::TagPages`], or all of
    /// them have more bytes than [`Limit::Descriptions`]; the next page is one of another server.
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut url = self.registry.url(&format!("{}/tags/list", self.name));
        let (mut tags, mut read, mut pages) = (Vec::new(), 0, Pages::new(Limit::TagPages));
        loop {
            let request = Request { what: WHAT, method: "GET", url: &url, headers: &[] };
            let wrong = |cause: String| Error::Protocol { what: WHAT, url: url.to_string(), cause };
            pages.check_next(&request, &self.registry)?;
            let (next, bytes) = self.registry.retry().run(|| {
                let reply = self.registry.request_once(&self.scope, &request)?;
                let reply = self.found_named(&request, reply, &format!("{}/{}", self.registry.host, self.name))?;
                Ok((self.registry.next_page(&request, &reply)?, self.read(&request, reply)?))
            })?;
            pages.count();
            read += bytes.len() as u64;
            let limit = self.registry.options.limits.check(Limit::Descriptions, read);
            limit.map_err(|exceeded| wrong(exceeded.to_string()))?;
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|e| wrong(format!("found no list of tags: {e}")))?;
            tags.extend(page.tags.unwrap_or_default());
            match next {
                Some(next) if next != url => url = next,
                _ => {
                    tags.sort_unstable();
                    tags.dedup();
                    return Ok(tags);
                }
            }
        }
    }
}
