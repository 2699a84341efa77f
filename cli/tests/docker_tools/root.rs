//! Images whose root script ran over a base, in every backend that is here.

use super::alone::load;
use super::based::save_repeated;
use super::examples::Examples;
use crate::debian::saved;
use crate::root_script::backends;
use crate::support::docker::{Docker, client};
use crate::support::lab::{Lab, debian};
use crate::support::{Place, output};
use serde_json::json;
use std::process::Stdio;

const PAGE: &str = "Served by a user of its own.";

/// A user and directories that the script makes; nginx serves its page in the container's own network.
#[test]
fn nginx_serves_a_page() {
    let (Some(docker), Some(debian), Some(lab)) = (Docker::find(), debian(), Lab::find("medium")) else { return };
    let script = format!(
        "groupadd --system nginx; useradd --system --gid nginx --no-create-home nginx\n\
         mkdir -p /srv/www /etc/page /var/lib/nginx /run/page; echo '{PAGE}' > /srv/www/index.html\n\
         chown -R nginx:nginx /srv/www /run/page; chmod 700 /srv/www\n\
         cat > /etc/page/nginx.conf <<'END'\n\
         user nginx; daemon off; error_log /dev/stderr; pid /run/page/pid; events {{}}\n\
         http {{ access_log off; server {{ listen 80; root /srv/www; }} }}\n\
         END\n\
         {}/sbin/nginx -t -c /etc/page/nginx.conf",
        lab.path("nginx")
    );
    for backend in backends() {
        let place = Place::new();
        let turn = docker.turn();
        let spec = json!({
            "name": format!("layerstone-test-nginx-{backend}"), "tag": "1", "kind": "single", "fromImage": saved(&turn, &debian),
            "contents": [lab.path("nginx"), lab.path("curl")], "graph": lab.graph(), "runAsRoot": script,
            "config": {"Cmd": ["nginx", "-c", "/etc/page/nginx.conf"], "ExposedPorts": {"80/tcp": {}}},
        });
        place.write("nginx.json", spec.to_string());
        place.ok(&format!("build nginx.json -o nginx.tar --backend {backend}"));
        let reference = format!("layerstone-test-nginx-{backend}:1");
        let loaded = turn.load(&place.join("nginx.tar"), &reference);
        let id = output(client("run --detach --network none").arg(&reference));
        let got = client("exec")
            .arg(id.trim())
            .args(["curl", "-fsS", "--retry", "20", "--retry-delay", "1"])
            .args(["--retry-connrefused", "http://127.0.0.1:80/"])
            .output()
            .unwrap();
        let removed = client("rm --force").arg(id.trim()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&got.stderr).into_owned();
        assert_eq!(String::from_utf8(got.stdout).unwrap(), format!("{PAGE}\n"), "{backend}: {said}");
        assert!(removed.status.success());
        assert_eq!(loaded.run(&["stat", "-c", "%U:%G %a", "/srv/www"]), "nginx:nginx 700\n", "{backend}");
    }
}

/// Words that would break a script if they were put into another one (nixpkgs issue 34779), in both.
#[test]
fn extra_commands() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    for backend in backends() {
        let keys = json!({
            "contents": [examples.path("coreutils"), examples.path("bash")],
            "runAsRoot": "(echo hello) > runAsRoot", "extraCommands": "(echo hello) > extraCommands",
        });
        let image = examples.single_in(backend, "runAsRootExtraCommands", keys);
        let turn = docker.turn();
        let loaded = load(&turn, &image);
        for file in ["extraCommands", "runAsRoot"] {
            assert_eq!(loaded.run(&["cat", file]), "hello\n", "{backend}");
        }
    }
}

/// Each script adds to what the one below has written.
#[test]
fn order_of_unpacking() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let shell = format!("#!{}/bin/bash\n", examples.path("bash"));
    for backend in backends() {
        let keys =
            json!({"contents": examples.path("coreutils"), "runAsRoot": format!("{shell}printf a > /layer-order")});
        let mut image = examples.single_in(backend, "layersUnpackOrder-rooted-a", keys);
        for letter in ["b", "c"] {
            let keys = json!({"fromImage": image.file, "runAsRoot": format!("{shell}printf {letter} >> /layer-order")});
            image = examples.single_in(backend, &format!("layersUnpackOrder-rooted-{letter}"), keys);
        }
        let turn = docker.turn();
        assert_eq!(load(&turn, &image).run(&["cat", "/layer-order"]), "abc", "{backend}");
    }
}

#[test]
fn repeated_layer() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let place = Place::new();
    save_repeated(&docker.turn(), &place, "layerstone-test-repeated-rooted:1");
    let saved = place.join("repeated.tar");
    for backend in backends() {
        let keys = json!({
            "fromImage": saved, "contents": [examples.path("bash"), examples.path("coreutils")],
            "runAsRoot": "cat /f > /seen",
        });
        let image = examples.single_in(backend, "repeatedLayerTestImage-rooted", keys);
        let turn = docker.turn();
        let loaded = load(&turn, &image);
        loaded.run(&["/bin/bash", "-c", "exit 0"]);
        assert_eq!(loaded.run(&["cat", "/seen"]), "one\n", "{backend}");
    }
}

#[test]
fn owner_of_a_file() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let stat = format!("{}/bin/stat", examples.path("coreutils"));
    for backend in backends() {
        let keys = json!({
            "runAsRoot": format!("#!{0}/bin/bash -e\n{1}/bin/touch /testfile\n{1}/bin/chown 12345:12345 /testfile",
                examples.path("bash"), examples.path("coreutils")),
            "config": {"Cmd": [stat, "-c", "%u:%g", "/testfile"]},
        });
        let image = examples.single_in(backend, "chown-test", keys);
        let turn = docker.turn();
        assert_eq!(load(&turn, &image).run_as("12345", &[]), "12345:12345\n", "{backend}");
    }
}
