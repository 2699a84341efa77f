//! Lists the tags of a repository, page by page (distribution-spec, "Listing Tags"; RFC 8288).

use crate::client::{Reply, Request};
use crate::{Error, Repository, Result};
use layerstone_store::Limit;
use serde::Deserialize;

const WHAT: &str = "cannot list the tags";
/// Pages that are asked for. With docker-registry's usual hundred tags a page, ten million tags.
const MOST_PAGES: usize = 100_000;

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
    /// There is no such repository, or the answer is no list; all pages together have more bytes than
    /// [`Limit::Descriptions`].
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut url = self.registry.url(&format!("{}/tags/list", self.name));
        let (mut tags, mut read) = (Vec::new(), 0);
        for _ in 0..MOST_PAGES {
            let request = Request { what: WHAT, method: "GET", url: &url, headers: &[] };
            let wrong = |cause: String| Error::Protocol { what: WHAT, url: url.to_string(), cause };
            let (next, bytes) = self.registry.retry().run(|| {
                let reply = self.registry.request_once(&self.scope, &request)?;
                let reply = self.found_named(&request, reply, &format!("{}/{}", self.registry.host, self.name))?;
                let next = reply.header("link").and_then(next_page).map(|next| self.next_url(&request, &reply, next));
                Ok((next.transpose()?, self.read(&request, reply)?))
            })?;
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
        let cause = format!("found more than {MOST_PAGES} pages");
        Err(Error::Protocol { what: WHAT, url: url.to_string(), cause })
    }

    /// The address of the next page.
    pub(crate) fn next_url(&self, request: &Request<'_>, reply: &Reply, next: &str) -> Result<crate::url::Url> {
        let wrong = |cause: String| Error::Protocol { what: request.what, url: reply.url.to_string(), cause };
        let next = reply.url.join(next).ok_or_else(|| wrong("found a next page at no address".to_owned()))?;
        self.registry.keep_tls(&reply.url, next).map_err(wrong)
    }
}

/// The address of the next page in a `Link` header.
pub(crate) fn next_page(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let parameters = after.split('<').next().unwrap_or_default();
        let is_next = |text: &str| {
            let (key, value) = text.split_once('=')?;
            let is_rel = key.trim().eq_ignore_ascii_case("rel");
            Some(is_rel && value.trim().trim_matches('"').split(' ').any(|it| it.eq_ignore_ascii_case("next")))
        };
        if parameters.split([';', ',']).any(|text| is_next(text) == Some(true)) {
            return Some(target);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        for (header, expected) in [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            ("<x>; REL=Next", Some("x")),
            (r#"<x,y>; title="a"; rel="next last""#, Some("x,y")),
            (r#"<x>; rel="first", <y>; rel="next""#, Some("y")),
            (r#"<x>; rel="prev""#, None),
            ("<x>", None),
            ("<x", None),
            ("x; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_page(header), expected, "{header}");
        }
    }
}
