//! A binary cache: layers that were built elsewhere are substituted, whatever they hold.

use super::machine::Machine;
use serde_json::json;

/// A machine that has built nothing takes all layers, and the image, from the cache.
#[test]
fn all_layers_come_from_a_cache() {
    let Some(builder) = Machine::find() else { return };
    let stages = r#"
        let image = layerstone.buildLayeredImage { name = "tool"; contents = [ hello bash coreutils ]; maxLayers = 8; };
        in image.layers ++ [ image.plan image ]"#;
    let built = builder.build(stages);
    let count = built.layers().len();
    assert_eq!((count, built.paths.len()), (7, 9), "{}", built.log);
    // Compression would be most of the work.
    let cache = format!("file://{}?compression=none", builder.place.join("cache").display());
    let mut words = vec!["copy", "--to", &cache];
    words.extend(built.paths.iter().map(String::as_str));
    builder.ok("nix", &words);

    let Some(other) = Machine::bare() else { return };
    let substitute = [
        ["--option", "substitute", "true"],
        ["--option", "substituters", &cache],
        ["--option", "require-sigs", "false"],
    ];
    let taken = other.build_with(&substitute.concat(), stages);
    assert_eq!(taken.names(), [] as [&str; 0]);
    assert_eq!(json!(taken.paths), json!(built.paths));
    let copied = taken.log.lines().filter(|line| line.starts_with("copying path '") && line.contains(".layer.json'"));
    assert_eq!(copied.count(), count, "{}", taken.log);
    for path in &built.paths {
        assert!(other.read(path) == builder.read(path), "{path}");
    }
}
