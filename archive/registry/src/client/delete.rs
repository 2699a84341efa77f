//! Deletes manifests (distribution-spec, "Deleting Manifests").

use crate::client::auth::{Access, Scope};
use crate::client::refusal::explanation;
use crate::client::{Request, refusal};
use crate::{Error, Repository, Result};
use layerstone_store::Digest;

impl Repository {
    /// Deletes a manifest or an index, and with it all tags that lead to it. What an index lists stays.
    ///
    /// # Errors
    ///
    /// It does not exist, or the registry allows no deletion ([`Error::NoDeletion`]).
    pub fn delete(&self, digest: &Digest) -> Result<()> {
        let url = self.registry.url(&format!("{}/manifests/{digest}", self.name));
        let scope = Scope { access: Access::Delete, ..self.scope.clone() };
        let request = Request { what: "cannot delete the manifest", method: "DELETE", url: &url, headers: &[] };
        let reply = self.registry.request(&scope, &request)?;
        match reply.status() {
            200 | 202 | 204 => Ok(()),
            404 => self.found(&request, reply, &digest.to_string()).map(drop),
            status @ (400 | 405 | 501) => {
                let explanation = explanation(reply.answer);
                if status == 400 && !explanation.contains("UNSUPPORTED") {
                    let (what, url) = (request.what, url.to_string());
                    return Err(Error::Status { what, url, status, explanation, retry_after: None });
                }
                Err(Error::NoDeletion { host: self.registry.host.clone(), status, explanation })
            }
            _ => Err(refusal(&request, reply)),
        }
    }
}
