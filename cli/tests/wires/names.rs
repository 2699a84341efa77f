//! Names with every character that make and ninja, or the shell between, treat specially.

use super::{Tool, text, wired};
use crate::support::Place;
use std::fs;

/// All that are printed and no letter or digit, and some that are not ASCII.
const SPECIAL: &str = " !\"#$%&'()*+,-.:;<=>?@[\\]^_`{|}~ü\u{2028}";

/// Writes rules for a spec, a directory and an image of these names, and runs them.
fn build(place: &Place, tool: Tool, name: &str) -> Result<(), String> {
    let (spec, folder, image) = (format!("s{name}s/i{name}i.json"), format!("f{name}f"), format!("./o{name}o.tar"));
    place.write(
        &spec,
        format!(r#"{{"name": "x", "tag": "1", "extraCommandsFile": {}}}"#, serde_json::json!(format!("c{name}c.sh"))),
    );
    place.write(&format!("s{name}s/c{name}c.sh"), "echo hi > there");
    let mut command = place.command(tool.name());
    command.args([&*spec, "--image", &image, "--folder", &folder, "-o", "rules", "--program", "./layerstone"]);
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(text(&output));
    }
    let first = tool.run(place, "rules", &[]);
    if !first.ok || !place.join(&image).is_file() {
        return Err(format!("{first:?}"));
    }
    let second = tool.run(place, "rules", &[]);
    if !second.ok || !second.stages.is_empty() {
        return Err(format!("made again: {second:?}"));
    }
    // What the depfile tells counts too.
    place.write(&format!("s{name}s/c{name}c.sh"), "echo ho > there");
    let third = tool.run(place, "rules", &[]);
    if !third.ok || third.stages.first().map(String::as_str) != Some("root") {
        return Err(format!("not made again: {third:?}"));
    }
    for path in [image, folder, format!("s{name}s")] {
        let path = place.join(path);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    Ok(())
}

#[test]
fn every_special_character() {
    for tool in Tool::all() {
        let place = wired();
        let mut bad = Vec::new();
        for character in SPECIAL.chars() {
            if let Err(error) = build(&place, tool, &character.to_string()) {
                bad.push(format!("{tool:?} {character:?}: {error}"));
            }
        }
        assert!(bad.is_empty(), "{}", bad.join("\n"));
        build(&place, tool, " a'b\"c$d#e:f;g&h=i|j").unwrap();
        build(&place, tool, r"a\;b\#c\:d\%f\|g\=h\&i\(j").unwrap();
        let refused = build(&place, tool, "a\tb").map_err(|error| error.ends_with(": found a tab, expected none\n"));
        assert_eq!(refused, if tool == Tool::Ninja { Err(true) } else { Ok(()) });
        let refused =
            build(&place, tool, r"a\*b").map_err(|error| error.ends_with(": found a backslash and a wildcard\n"));
        assert_eq!(refused, if tool == Tool::Make { Err(true) } else { Ok(()) });
    }
}

/// Newlines cannot be written in either's files.
#[test]
fn newlines_are_refused() {
    for tool in Tool::all() {
        let place = wired();
        let error = build(&place, tool, "\n").unwrap_err();
        let expected = format!("error: cannot be written in a file of {}: ", tool.name());
        assert!(error.starts_with(&expected) && error.ends_with(": found a newline, expected none\n"), "{error}");
        assert!(!place.join("rules").exists());
    }
}
