//! Images that stand alone, bases and specs: for the platform that is named, or refused.

use super::{check_refusal, copied, flat, image, nested, parts, registry};
use crate::support::pieces::{Pieces, plain_docker, tar, write_folder};
use crate::support::{Place, archive};
use serde_json::json;

/// An image that stands alone is taken whatever it runs on, unless another platform is named.
#[test]
fn of_single_images() {
    for platform in ["s390x", "arm/v7"] {
        let place = Place::new();
        place.write("docker.tar", tar(&plain_docker(&[image(platform)])));
        for (name, told) in [("told", platform.to_owned()), ("untold", format!("[{platform}]"))] {
            let layout = nested(&[&told], 0);
            write_folder(&place.join(name), &layout);
            write_folder(&place.join(format!("{name}.dir")), &flat(&layout));
            place.write(&format!("{name}.tar"), tar(&layout));
        }
        let server = registry(&nested(&[platform], 0));
        let remote = format!("registry:{}/m:1", server.host());
        let own = match parts(platform) {
            (architecture, None) => format!("--arch {architecture}"),
            (architecture, Some(variant)) => format!("--arch {architecture} --variant {variant}"),
        };
        let here = ["docker.tar", "told", "untold", "told.tar", "untold.tar", "told.dir", "dir:untold.dir", &remote];
        for source in here {
            for flags in ["", &own, "--os linux --arch OWN"] {
                let flags = flags.replace("OWN", parts(platform).0);
                assert_eq!(copied(&place, source, &flags).as_deref(), Ok(platform), "{source} {flags}");
            }
            for (flags, wanted) in [("--arch arm64", "arm64"), ("--arch arm --variant v6", "arm/v6")] {
                check_refusal(&copied(&place, source, flags).unwrap_err(), wanted, &[platform], source);
            }
            if !source.starts_with("registry:") {
                for command in ["overlay export SOURCE -o out.tar", "inspect SOURCE"] {
                    let line = command.replace("SOURCE", source.trim_start_matches("dir:"));
                    place.ok(&line);
                    check_refusal(&place.fail(&format!("{line} --arch arm64")), "arm64", &[platform], &line);
                    let _ = std::fs::remove_file(place.join("out.tar"));
                }
            }
        }
        let pulled = place.ok(&format!("pull {}/m:1 -o out.tar", server.host()));
        let warning = format!("the image is for linux/{platform}, and not for linux/");
        assert!(pulled.stderr.contains(&warning), "{}", pulled.stderr);
        let pulled = place.ok(&format!("pull {}/m:1 -o out.tar {own}", server.host()));
        assert!(!pulled.stderr.contains("and not for"), "{}", pulled.stderr);
    }
}

/// `build --base` takes the image for its architecture from any index, the one of this machine without one.
#[test]
fn of_bases() {
    let place = Place::new();
    let layout = nested(&["amd64", "arm64", "arm/v6"], 1);
    write_folder(&place.join("layout"), &layout);
    write_folder(&place.join("flat"), &flat(&layout));
    let mut both = layout;
    both.extend(plain_docker(&[image("amd64")]));
    place.write("both.tar", tar(&both));
    write_folder(&place.join("other"), &nested(&["s390x"], 1));
    for base in ["layout", "flat", "both.tar", "both.tar#m:1"] {
        for (architecture, expected) in [("arm64", "arm64"), ("x86_64-linux", "amd64"), ("armv7l", "arm/v6")] {
            place.ok(&format!("build --name x --tag 1 --architecture {architecture} --base {base} -o out.tar"));
            assert_eq!(
                Pieces::of(&place.read("out.tar")).layers[0],
                image(expected).layers[0],
                "{base} {architecture}"
            );
        }
    }
    let said = place.fail("build --name x --architecture arm64 --base other -o no.tar");
    check_refusal(&said, "arm64", &["s390x"], "other");
    place.ok("build --name x --tag 1 --base other -o out.tar");
    assert_eq!(archive::config(&place.read("out.tar"))["architecture"], "s390x");
}

/// A base may be named with the word of its kind.
#[test]
fn words_of_bases() {
    let place = Place::new();
    let layout = nested(&["amd64"], 0);
    write_folder(&place.join("layout"), &layout);
    write_folder(&place.join("flat"), &flat(&layout));
    place.write("oci.tar", tar(&layout));
    place.write("x.tar", tar(&plain_docker(&[image("amd64")])));
    for base in
        ["oci:layout", "oci:layout:m:1", "oci:layout#m:1", "dir:flat", "oci-archive:oci.tar", "docker-archive:x.tar"]
    {
        place.ok(&format!("build --name x --tag 1 --base {base} -o out.tar"));
        assert_eq!(Pieces::of(&place.read("out.tar")).layers[0], image("amd64").layers[0], "{base}");
    }
}

/// Of a spec, the image for the platform is made, or none.
#[test]
fn of_specs() {
    let place = Place::new();
    let here = json!({"name": "x", "tag": "1", "architecture": "riscv64"});
    place.write("one.json", here.to_string());
    let several = json!({"name": "x", "tag": "1", "architectures": ["amd64", "arm64", {"architecture": "armv6l"}]});
    place.write("several.json", several.to_string());
    for (spec, flags, expected) in [
        ("one.json", "--arch riscv64", Ok("riscv64")),
        ("one.json", "--arch arm64", Err(("arm64", "riscv64"))),
        ("several.json", "--arch aarch64", Ok("arm64")),
        ("several.json", "--arch arm --variant v7", Ok("arm/v6")),
        ("several.json", "--arch s390x", Err(("s390x", "amd64"))),
    ] {
        let line = format!("copy {spec} oci:out {flags}");
        match expected {
            Ok(platform) => {
                place.ok(&line);
                assert_eq!(copied(&place, "out", "").unwrap(), platform, "{line}");
                std::fs::remove_dir_all(place.join("out")).unwrap();
            }
            Err((wanted, found)) => {
                let run = place.run(&line);
                assert_eq!(run.code, Some(1), "{line}");
                check_refusal(&run.stderr, wanted, &[found], &line);
                let _ = std::fs::remove_dir_all(place.join("out"));
            }
        }
    }
}
