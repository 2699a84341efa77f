//! `created` and `mtime` as flakes give them, in every function that takes them.

use super::machine::Machine;
use crate::support::archive::{config, manifest, member};
use crate::support::output;
use std::process::Command;

/// `self.lastModifiedDate` of a flake; `self.lastModified` is the same in seconds.
const DATE: &str = r#""20240229123456""#;

#[test]
fn as_flakes_give_them() {
    let Some(machine) = Machine::find() else { return };
    let forms = [
        (DATE.to_owned(), "2024-02-29T12:34:56Z"),
        (format!("builtins.substring 0 8 {DATE}"), "2024-02-29T00:00:00Z"),
        (r#""@${toString 1709210096}""#.to_owned(), "2024-02-29T12:34:56Z"),
        (r#""2024-02-29""#.to_owned(), "2024-02-29T00:00:00Z"),
        (r#""2024-02-29 12:34""#.to_owned(), "2024-02-29T12:34:00Z"),
        (r#""2024-02-29T12:34:56+02:00""#.to_owned(), "2024-02-29T10:34:56Z"),
    ];
    let images = forms.each_ref().map(|(form, _)| {
        let common = r#"name = "x"; tag = "1"; compressor = "none";"#;
        format!(
            "(layerstone.buildImage {{ {common} created = {form}; copyToRoot = hello; }})
             (layerstone.buildLayeredImage {{ {common} created = {form}; mtime = {form}; contents = hello; maxLayers = 3; }})
             (layerstone.buildLayeredImage {{ {common} mtime = {form}; contents = hello; maxLayers = 3; perLayer = false; }})"
        )
    });
    let built = machine.build(&format!("[ {} ]", images.join("\n")));
    for (paths, (form, instant)) in built.paths.chunks(3).zip(&forms) {
        let tars = [0, 1, 2].map(|number| machine.read(&paths[number]));
        for (tar, created) in tars.iter().zip([*instant, *instant, "1970-01-01T00:00:01Z"]) {
            assert_eq!(config(tar)["created"], created, "{form}");
        }
        let seconds = output(Command::new("date").args(["-d", instant, "+%s"]));
        for tar in &tars[1..] {
            for layer in manifest(tar)["Layers"].as_array().unwrap() {
                let layer = member(tar, layer.as_str().unwrap());
                let mtime = tar::Header::from_byte_slice(&layer[..512]).mtime().unwrap();
                assert_eq!(mtime.to_string(), seconds.trim_end(), "{form}");
            }
        }
    }
    let refused = machine.try_build(&[], r#"layerstone.buildImage { name = "x"; created = "yesterday"; }"#);
    assert!(refused.code != Some(0) && refused.stderr.contains("expected \"now\", a date"), "{}", refused.stderr);
}
