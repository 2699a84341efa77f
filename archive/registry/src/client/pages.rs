//! Goes from page to page of a list: `Link` headers (RFC 8288; distribution-spec, "Listing Tags", "Listing Referrers").
//!
//! A next page is asked of the server that answered, or of the registry, and of no other: a list would lead the client to
//! any host that a registry names. Does not know what is listed.

use crate::client::{Reply, Request};
use crate::url::Url;
use crate::{Error, Registry, Result};
use layerstone_store::Limit;

/// The pages of a list that are asked for.
pub(crate) struct Pages {
    limit: Limit,
    asked: u64,
}

impl Pages {
    /// None so far, and at most as many as this limit allows.
    pub fn new(limit: Limit) -> Pages {
        Pages { limit, asked: 0 }
    }

    /// Whether a page came already.
    pub fn have_begun(&self) -> bool {
        self.asked > 0
    }

    /// Counts a page that came.
    pub fn count(&mut self) {
        self.asked += 1;
    }

    /// Checks that one more may be asked for.
    ///
    /// # Errors
    ///
    /// There were as many already as the limit allows.
    pub fn check_next(&self, request: &Request<'_>, registry: &Registry) -> Result<()> {
        let wrong = |cause: String| Error::Protocol { what: request.what, url: request.url.to_string(), cause };
        registry.options.limits.check(self.limit, self.asked + 1).map_err(|exceeded| wrong(exceeded.to_string()))
    }
}

impl Registry {
    /// The address of the page after this one; none if it is the last.
    ///
    /// # Errors
    ///
    /// It is no address, or one of another server.
    pub(crate) fn next_page(&self, request: &Request<'_>, reply: &Reply) -> Result<Option<Url>> {
        let Some(target) = reply.header("link").and_then(next_of) else { return Ok(None) };
        let wrong = |cause: String| Error::Protocol { what: request.what, url: reply.url.to_string(), cause };
        let next = reply.url.join(target).ok_or_else(|| wrong("found a next page at no address".to_owned()))?;
        let next = self.keep_tls(&reply.url, next).map_err(wrong)?;
        if !next.is_same_server(&reply.url) && !next.is_same_server(&self.base) {
            return Err(wrong(format!(
                "found a next page at {}, expected one at {}",
                next.origin(),
                self.base.origin()
            )));
        }
        Ok(Some(next))
    }
}

/// The address of the next page in a `Link` header.
fn next_of(header: &str) -> Option<&str> {
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
    use crate::{Options, Repository};
    use layerstone_store::{Digest, Limits};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

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
            assert_eq!(next_of(header), expected, "{header}");
        }
    }

    /// A registry whose lists are empty; the link to the next page is made of the number of the page.
    struct Lists {
        address: SocketAddr,
        asked: Arc<AtomicU64>,
    }

    impl Lists {
        fn start(link: impl Fn(u64) -> String + Send + Sync + 'static) -> Lists {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (address, asked) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
            let (counter, link) = (Arc::clone(&asked), Arc::new(link));
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (counter, link) = (Arc::clone(&counter), Arc::clone(&link));
                    thread::spawn(move || answer(stream, &counter, &*link));
                }
            });
            Lists { address, asked }
        }

        fn repository(&self, limits: Limits) -> Repository {
            let options = Options { limits, retries: 0, ..Options::default() };
            Registry::connect(&self.address.to_string(), &options).unwrap().repository("a")
        }
    }

    /// Answers one connection, until it breaks.
    fn answer(stream: TcpStream, counter: &AtomicU64, link: &dyn Fn(u64) -> String) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).ok()?;
            if !line.starts_with(b"GET ") {
                // TLS is answered in plain.
                reader.get_mut().write_all(b"HTTP/1.1 400 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
                return None;
            }
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && head != "\r\n" {
                (reader.by_ref().take(1 << 16).read_line(&mut head).ok()? > 0).then_some(())?;
            }
            let is_list = line.windows(3).any(|part| part == b"/a/");
            let more = if is_list { link(counter.fetch_add(1, Ordering::Relaxed) + 1) } else { String::new() };
            let body = r#"{"schemaVersion": 2, "manifests": [], "tags": []}"#;
            let head = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n{more}\r\n", body.len());
            reader.get_mut().write_all(format!("{head}{body}").as_bytes()).ok()?;
        }
    }

    /// Lists of referrers and of tags: what an error says, empty without one.
    fn listed(repository: &Repository) -> [String; 2] {
        let told = |error: Option<Error>| error.map(|error| error.to_string()).unwrap_or_default();
        [told(repository.referrers(&Digest::of(b"x"), None).err()), told(repository.tags().err())]
    }

    #[test]
    fn lists_that_never_end() {
        let lists = Lists::start(|page| format!("Link: <?n={page}>; rel=\"next\"\r\n"));
        let limits = Limits::default().with(Limit::ReferrerPages, 3).with(Limit::TagPages, 4);
        let [referrers, tags] = listed(&lists.repository(limits));
        assert!(
            referrers.contains("found 4 pages of referrers, expected at most 3 (limit referrer-pages)"),
            "{referrers}"
        );
        assert!(tags.contains("found 5 pages of tags, expected at most 4 (limit tag-pages)"), "{tags}");
        assert_eq!(lists.asked.load(Ordering::Relaxed), 7);
        // As many as are allowed are no error.
        let three =
            Lists::start(|page| if page % 3 == 0 { String::new() } else { format!("Link: <?n={page}>; rel=next\r\n") });
        let limits = Limits::default().with(Limit::ReferrerPages, 3).with(Limit::TagPages, 3);
        assert_eq!(listed(&three.repository(limits)), ["", ""]);
    }

    #[test]
    fn lists_that_lead_to_others() {
        let other = Lists::start(|_| String::new());
        let address = other.address;
        let (here, port) = ("127.0.0.1", address.port());
        for next in [
            format!("http://{address}/v2/a/x"),
            format!("//{address}/v2/a/x"),
            format!("http://localhost:{port}/v2/a/x"),
            format!("https://{here}:{port}/v2/a/x"),
            format!("http://{here}/v2/a/x"),
        ] {
            let link = next.clone();
            let lists = Lists::start(move |_| format!("Link: <{link}>; rel=\"next\"\r\n"));
            for told in listed(&lists.repository(Limits::default())) {
                let expected = format!(", expected one at http://{}", lists.address);
                assert!(told.contains(": found a next page at http") && told.ends_with(&expected), "{next}: {told}");
            }
        }
        assert_eq!(other.asked.load(Ordering::Relaxed), 0);
    }
}
