//! Serves a registry in memory on the loopback interface, and pulls a manifest from it.

use layerstone_oci::{BlobStore, Descriptor, Index, Reference, media_type};
use layerstone_registry::{MemoryRegistry, Options, Registry, RepositoryHandle, Server};
use std::{collections::BTreeMap, error::Error, os::fd::AsFd, sync::Mutex, thread};

fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("127.0.0.1:0".parse()?)?;
    let reference: Reference = format!("{}/empty:1", server.address()).parse()?;
    let memory = Mutex::new(MemoryRegistry::default());
    let index = Index::<Descriptor>::new(Vec::new(), BTreeMap::new()).to_bytes();
    let repository = RepositoryHandle { registry: &memory, repository: reference.repository() };
    repository.finish(&Descriptor::of(media_type::INDEX, &index), &index, Some(&reference))?;
    let (memory, (until_closed, open)) = (memory.into_inner()?, std::io::pipe()?);
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.run(&memory, until_closed.as_fd(), &|_, _| ()));
        let registry = Registry::connect(reference.host(), &Options::default());
        let pulled = registry.and_then(|it| it.repository(&reference.repository()).manifest(reference.tag_or_latest()));
        drop(open);
        serving.join().expect("the server does not panic")?;
        println!("{reference} is {}", pulled?.descriptor.digest);
        Ok(())
    })
}
