//! Which image of several is the base.

use super::{curl, write_tar};
use crate::support::Place;
use crate::support::pieces::{Entry, Files, Packing, Pieces, gzip, new_save, oci, old_save, plain_docker, tar_of};
use serde_json::json;

/// An image of one layer that holds a store path of this name, called so.
fn image(name: &str, references: &[&str]) -> Pieces {
    let folder = format!("nix/store/{}-{name}", "0".repeat(32));
    let file = format!("{folder}/file");
    let files = [(folder.as_bytes(), Entry::Folder), (file.as_bytes(), Entry::File(name.into()))];
    Pieces::new(&[tar_of(files)]).called(references)
}

/// Three images, one of them with two names, one with none.
fn several() -> [Pieces; 4] {
    [
        image("first", &["a:b"]),
        image("second", &["xa:bc"]),
        image("third", &["reg.example:5000/team/a:1", "tool:latest"]),
        image("fourth", &[]),
    ]
}

/// What a lookup gives, by every command that reads a base.
#[track_caller]
fn check(place: &Place, base: &str, expected: Result<&str, &str>) {
    let lines = [
        format!("build {} --base {base} -o x.tar", curl()),
        format!("image --spec s.json layer.json --base {base} -o x.tar"),
        format!("layers closure.json --max-layers 9 --base {base} -o x.tar"),
        format!("inspect --diff {base} other.tar"),
        format!("inspect --diff other.tar {base}"),
    ];
    let name = match expected {
        Ok(name) => name,
        Err(expected) => {
            for line in lines {
                assert_eq!(place.error_of(&line), format!("error: {expected}\n"), "{line}");
            }
            return;
        }
    };
    for line in &lines[..2] {
        place.ok(line);
        assert_eq!(Pieces::of(&place.read("x.tar")).layers[0], image(name, &[]).layers[0], "{line}");
    }
    let store_path = format!("/nix/store/{}-{name}", "0".repeat(32));
    place.write("c.json", json!([{"path": store_path, "references": [], "narSize": 1}]).to_string());
    place.ok(&format!("layers c.json --max-layers 9 --base {base} -o plan.json"));
    assert_eq!(place.json("plan.json")["layers"], json!([]), "{base}");
    let told = place.ok(&format!("inspect --json --diff other.tar {base}")).text().to_owned();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["storePaths"]["added"][0]["path"], json!(store_path), "{base}");
}

/// A place with files of several images and what the commands need beside them.
fn place() -> Place {
    let place = Place::new();
    let one_name =
        several().map(|image| image.called(&image.names.iter().map(String::as_str).take(1).collect::<Vec<_>>()));
    let forms: [(&str, Files); 5] = [
        ("docker.tar", plain_docker(&several())),
        ("old.tar", old_save(&several())),
        ("new.tar", new_save(&several())),
        ("oci.tar", oci(&one_name, &Packing::plain())),
        ("packed.tar", oci(&one_name, &Packing::docker(gzip))),
    ];
    for (name, files) in forms {
        write_tar(&place, name, &files);
    }
    write_tar(&place, "other.tar", &plain_docker(&[Pieces::new(&[])]));
    write_tar(&place, "nameless.tar", &plain_docker(&[image("fourth", &[])]));
    place.write("s.json", json!({"name": "x"}).to_string());
    place.write("closure.json", "[]");
    place.ok("root --spec s.json --blob layer.tar -o layer.json");
    place
}

/// The name, the tag or both, always the whole of them.
#[test]
fn exact_matches() {
    let place = place();
    let reference = "reg.example:5000/team/a";
    for file in ["docker.tar", "old.tar", "new.tar", "oci.tar", "packed.tar"] {
        for (name, expected) in
            [("a:b", "first"), ("a", "first"), (":b", "first"), ("xa:bc", "second"), (":bc", "second"), (":1", "third")]
        {
            check(&place, &format!("{file}#{name}"), Ok(expected));
        }
        check(&place, &format!("{file}#{reference}"), Ok("third"));
        check(&place, &format!("{file}#{reference}:1"), Ok("third"));
    }
    check(&place, "docker.tar#tool", Ok("third"));
    check(&place, "nameless.tar", Ok("fourth"));
    check(&place, "nameless.tar#", Ok("fourth"));
}

#[test]
fn none_or_several() {
    let place = place();
    let known = "a:b, xa:bc, reg.example:5000/team/a:1 tool:latest, one without a name";
    for name in ["a:bc", "x:b", "b", "team/a:1", "reg.example:5000", "A:b", ":tool"] {
        let expected = format!("no such image: docker.tar#{name}: found {known}");
        check(&place, &format!("docker.tar#{name}"), Err(&expected));
    }
    let expected = format!("several images: docker.tar: expected docker.tar#NAME:TAG, found {known}");
    check(&place, "docker.tar", Err(&expected));
    let expected = "no such image: nameless.tar#a: found one without a name";
    check(&place, "nameless.tar#a", Err(expected));
    write_tar(&place, "tags.tar", &plain_docker(&[image("first", &["a:1"]), image("second", &["a:2", "b:1"])]));
    let several = |which: &str| format!("several images: tags.tar: expected tags.tar#NAME:TAG, found {which}");
    check(&place, "tags.tar#a", Err(&several("a:1, a:2 b:1")));
    check(&place, "tags.tar#:1", Err(&several("a:1, a:2 b:1")));
    check(&place, "tags.tar#b", Ok("second"));
    check(&place, "absent.tar#a:b", Err("cannot read: absent.tar: No such file or directory (os error 2)"));
}

/// The keys of image.json; relative to its directory.
#[test]
fn in_image_json() {
    let place = place();
    let build = |keys: serde_json::Value| {
        let mut spec = json!({"name": "x", "fromImage": "../docker.tar"});
        spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        place.write("folder/image.json", spec.to_string());
    };
    for (keys, expected) in [
        (json!({"fromImageName": "a", "fromImageTag": "b"}), "first"),
        (json!({"fromImageName": "tool"}), "third"),
        (json!({"fromImageTag": "bc", "fromImageName": null}), "second"),
        (json!({"fromImage": "../docker.tar#xa:bc"}), "second"),
        (json!({"fromImage": "../nameless.tar"}), "fourth"),
    ] {
        build(keys.clone());
        place.ok("build folder/image.json -o x.tar");
        assert_eq!(Pieces::of(&place.read("x.tar")).layers[0], image(expected, &[]).layers[0], "{keys}");
    }
    build(json!({"fromImageName": "a", "fromImageTag": "bc"}));
    let told = place.fail("build folder/image.json -o x.tar");
    assert!(told.starts_with("error: no such image: folder/../docker.tar#a:bc: found a:b, "), "{told}");
    // The flag is stronger, and the file that it names is relative to the directory of the command.
    place.ok("build folder/image.json --base nameless.tar -o x.tar");
    assert_eq!(Pieces::of(&place.read("x.tar")).layers[0], several()[3].layers[0]);
}

/// A file whose name holds a number sign is that file.
#[test]
fn number_signs_in_file_names() {
    let place = place();
    for name in ["c#a:b", "#", "x#y#z"] {
        std::fs::copy(place.join("nameless.tar"), place.join(name)).unwrap();
        check(&place, name, Ok("fourth"));
        std::fs::copy(place.join("docker.tar"), place.join(name)).unwrap();
        check(&place, &format!("{name}#xa:bc"), Ok("second"));
        std::fs::remove_file(place.join(name)).unwrap();
    }
    std::fs::copy(place.join("docker.tar"), place.join("c#a:b")).unwrap();
    let known = "a:b, xa:bc, reg.example:5000/team/a:1 tool:latest, one without a name";
    let expected = format!("several images: c#a:b: expected c#a:b#NAME:TAG, found {known}");
    check(&place, "c#a:b", Err(&expected));
    std::fs::remove_file(place.join("c#a:b")).unwrap();
    check(&place, "c#a:b", Err("cannot read: c: No such file or directory (os error 2)"));
}
