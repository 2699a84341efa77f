//! Makes a customisation layer with users, a /tmp and a file that a script writes, and prints its digest.

use layerstone_root::{Console, RootConfig, build};
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
    let mut console = Console {
        log: &mut std::io::stdout(),
        warn: &mut |warning| println!("warning: {warning}"),
        running: &mut |_| {},
    };
    let layer = build(&spec, &config, &dir.path().join("root.tar"), &mut console)?;
    println!("{} bytes, {}", layer.size, layer.diff_id);
    Ok(())
}
