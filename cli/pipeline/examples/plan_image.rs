//! Plans the layers of an image, stage by stage, without building it.

use layerstone_pipeline::{BuildOptions, Builder, Mentions, Registries, Silent};
use layerstone_registry::Options;
use layerstone_spec::Spec;
use layerstone_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let paths = ["516z65g5d2g7yfc9yv6n2g1q21jqv0m1-lib", "xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-app"];
    let [lib, app] = paths.map(|name| format!("/nix/store/{name}"));
    std::fs::create_dir_all(directory.path().join("nix/store"))?;
    std::fs::write(directory.path().join(&lib[1..]), "a library")?;
    std::fs::write(directory.path().join(&app[1..]), format!("uses {lib}"))?;

    let store = Store::new("/nix/store", directory.path())?;
    let config = serde_json::json!({"Cmd": [app]});
    let spec = Spec { config: config.as_object().cloned().unwrap_or_default(), ..Spec::new("app") };
    let registries = Registries::new(Options::default(), Vec::new(), 4);
    let options = BuildOptions::new(&store, &registries, &Silent);
    let builder = Builder::of_spec(&spec, "app".as_ref(), false, &options)?;
    let plan = builder.plan(&builder.measured_closure(Mentions::default())?)?;
    plan.layers.iter().for_each(|paths| println!("{paths:?}"));
    Ok(())
}
