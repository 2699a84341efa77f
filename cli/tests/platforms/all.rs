//! Images for several platforms: all of them with `--all`, or one, and then it is said which.

use super::nested;
use crate::support::Place;
use crate::support::pieces::write_folder;
use crate::support::registry::Registry;

#[test]
fn pushed_and_pulled() {
    let Some(registry) = Registry::start() else { return };
    let place = Place::new();
    write_folder(&place.join("layout"), &nested(&["amd64", "s390x"], 0));
    let host = registry.host();
    let is_index = |name: &str| registry.inspect(&format!("x:{name}"), "--raw")["manifests"].is_array();
    let told = place.ok(&format!("push oci:layout {host}/x:one")).stderr;
    let expected = "the image for linux/amd64 is taken, of linux/amd64, linux/s390x (--platform, --all)";
    assert!(told.contains(expected), "{told}");
    assert!(!is_index("one"));
    let told = place.ok(&format!("push oci:layout {host}/x:named --arch s390x")).stderr;
    assert!(!told.contains("is taken"), "{told}");
    let told = place.ok(&format!("push oci:layout {host}/x:all --all")).stderr;
    assert!(!told.contains("is taken") && is_index("all"), "{told}");
    for (flags, count) in [("--all", 2), ("--arch s390x", 1), ("", 1)] {
        let _ = std::fs::remove_dir_all(place.join("pulled"));
        let told = place.ok(&format!("pull {host}/x:all {flags} -o oci:pulled")).stderr;
        assert_eq!(told.contains(expected), flags.is_empty(), "{flags}: {told}");
        let found = place.ok("inspect oci:pulled --json");
        let found: serde_json::Value = serde_json::from_str(found.text()).unwrap();
        assert_eq!(found["images"].as_array().unwrap().len(), count, "{flags}");
    }
    let told = place.ok(&format!("copy registry:{host}/x:all y.tar")).stderr;
    assert!(told.contains(expected), "{told}");
    // A docker archive keeps no index.
    let told = place.fail(&format!("pull {host}/x:all --all -o z.tar"));
    assert!(told.contains("found z.tar, expected what keeps an OCI image"), "{told}");
    let contradicting = place.run(&format!("pull {host}/x:all --all --arch s390x -o oci:z"));
    assert!(contradicting.code == Some(2) && contradicting.stderr.contains("cannot be used with"));
}
