//! Makes a customisation layer with users, a /tmp and a file that a script writes, and prints its digest.

use layerstone_root::{RootConfig, build};
use layerstone_spec::{Helper, Script, Spec};
use layerstone_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let users = Helper::FakeNss { extra_passwd_lines: Vec::new(), extra_group_lines: Vec::new() };
    let spec = Spec {
        helpers: vec![users, Helper::Tmp],
        script: Some(Script::Text("mkdir -p data; echo hello > data/greeting".to_owned())),
        ..Spec::new("hello")
    };
    let config = RootConfig::new(&spec, &Store::new("/nix/store", dir.path())?, None);
    let made = build(&spec, &config, &dir.path().join("root.tar"), &mut std::io::stdout())?;
    println!("{} bytes, {}", made.layer.size, made.layer.diff_id);
    made.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    Ok(())
}
