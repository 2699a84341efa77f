//! The checks of nixpkgs' own test of dockerTools (nixos/tests/docker-tools.nix), on images of real programs in docker.
//!
//! Each has a number, and either tests of ours, named below the folder of this table or of all tests, or the reason why
//! there is none. Where theirs has redis, nginx or Nix in an image, ours has what the lab's small closure offers.
//!
//! | check | what it asks | shown by |
//! |---|---|---|
//! | 1 | store paths are in the image: hello runs | `alone::store_paths_are_included` |
//! | 2 | without store paths it does not run | `alone::without_store_paths` |
//! | 3 | the same, made under fakechroot | `fake::without_store_paths` |
//! | 4 | without store paths there is none in the image | `alone::without_store_paths` |
//! | 5 | the same, made under fakechroot | `fake::without_store_paths` |
//! | 6 | without store paths it runs where the store is mounted | `alone::without_store_paths` |
//! | 7 | the same, made under fakechroot | `fake::without_store_paths` |
//! | 8 | an image's date is stable | `alone::stable_date_and_tag` |
//! | 9 | bash runs | `alone::stable_date_and_tag` |
//! | 10 | the tag that is told is the one that docker lists | `alone::stable_date_and_tag` |
//! | 11 | so is a generated one, of buildImage | `alone::generated_tags` |
//! | 12 | of buildLayeredImage | `alone::generated_tags` |
//! | 13 | of streamLayeredImage | `alone::generated_tag_of_a_stream` |
//! | 14 | of buildLayeredImage with several contents | `alone::generated_tags` |
//! | 15 | images load in gzip, zstd and uncompressed | `client::docker::plain_gzip_and_piped_images_are_one`, `client::podman::real_programs_load_plain_and_compressed` |
//! | 16 | the Nix database is in the image | `tools::nix_knows_the_store` |
//! | 17 | `/nix` and `/nix/store` have mode 755 for a user who is not root | `alone::folders_of_the_store_for_other_users` |
//! | 18 | a link to a sibling in a store path is what it was, in buildImage | `alone::links_in_store_paths` |
//! | 19 | in buildLayeredImage | `alone::links_in_store_paths` |
//! | 20 | an image from Docker Hub loads and runs | needs the internet |
//! | 21 | nginx serves a page | `root::nginx_serves_a_page`, and set up by extraCommands `debian::web::nginx_serves_a_page` |
//! | 22 | an image of another tool as base; a lower-cased name | `based::on_top_of_a_pulled_image` |
//! | 23 | extraCommands with parentheses, and runAsRoot with some | `root::extra_commands`, and extraCommands alone `based::extra_commands` |
//! | 24 | `created = "now"` is not 1970, in buildImage | `alone::date_of_today` |
//! | 25 | in buildLayeredImage | `alone::date_of_today` |
//! | 26 | a layered image runs, and has the file of its extraCommands | `based::layered` |
//! | 27 | buildImage on top of a layered image runs | `based::on_top_of_layered` |
//! | 28 | buildLayeredImage on top of a layered image runs | `based::on_top_of_layered` |
//! | 29 | two layered images share layers | `based::layers_are_shared` |
//! | 30 | of three layers with one file, the uppermost one's is seen | `based::order_of_layers` |
//! | 31 | a root script sees the layers below in their order | `root::order_of_unpacking`, and in containers `based::order_of_unpacking` |
//! | 32 | a base that names one layer twice | `root::repeated_layer`, and without a script `based::repeated_layer` |
//! | 33 | Env is inherited and overridden, in buildImage | `based::environment_of_the_base` |
//! | 34 | in buildLayeredImage | `based::environment_of_the_base` |
//! | 35 | no variable is there twice | `based::no_variable_twice` |
//! | 36 | maxLayers of 2 | `alone::no_more_layers_than_asked_for` |
//! | 37 | the last of two layers misses no path | `alone::bulk_layer` |
//! | 38 | maxLayers of 4 on a base of 2 makes exactly 4 | `based::bulk_layer_on_a_base` |
//! | 39 | only store paths that are referred to are in the image | `alone::no_store_paths_but_those_referred_to` |
//! | 40 | store paths are as the Nix database says | `tools::nix_knows_the_store` |
//! | 41 | an image for another system says its architecture | `alone::another_architecture` |
//! | 42 | a store path that is a link stays one | `alone::store_path_that_is_a_link` |
//! | 43 | a name with a registry, in buildImage | `alone::names_with_a_registry` |
//! | 44 | in buildLayeredImage | `alone::names_with_a_registry` |
//! | 45 | the owner that fakeRootCommands gave a folder | `fake::owner_of_a_home`, and given by perms `client::docker::owners_and_modes_are_what_the_rules_say` |
//! | 46 | two merged images load and run | `merged::both_are_there_and_run` |
//! | 47 | one of them with a generated tag | `merged::both_are_there_and_run` |
//! | 48 | merging keeps what fakeRootCommands did | `fake::merging_keeps_owners`, and given by perms `merged::owners_stay` |
//! | 49 | what the output of fakeRootCommands refers to is in the image | `fake::store_paths_that_the_script_refers_to`, and of extraCommands `alone::store_paths_that_the_script_refers_to` |
//! | 50 | images of different compression merge | `merged::whatever_they_are_compressed_with` |
//! | 51 | exportImage makes one flat tar | `fake::exported_as_one_tar` |
//! | 52 | an image made under fakechroot runs | `fake::made_as_root_of_all_files` |
//! | 53 | bare paths in contents, in buildImage | `alone::bare_paths` |
//! | 54 | in buildLayeredImage | `alone::bare_paths` |
//! | 55 | an architecture that is asked for, in buildImage | `alone::another_architecture` |
//! | 56 | in buildLayeredImage | `alone::another_architecture` |
//! | 57 | `/etc` made by NixOS' activation scripts | `fake::etc_of_a_script`, written by hand for what NixOS' activation scripts do |
//! | 58 | certificates are where programs look for them | `alone::certificates`; an HTTPS client finds them: `tools::certificates_are_trusted` |
//! | 59 | streamNixShellImage: a derivation builds in the image | `nix_api::shell::the_derivation_builds` |
//! | 60 | its shellHook runs | `nix_api::shell::the_hook_runs` |
//! | 61 | its inputs are in PATH | `nix_api::shell::attributes_are_in_the_environment` |
//! | 62 | passAsFile | `nix_api::shell::attributes_passed_as_files` |
//! | 63 | `run`: a command in a shell that is not interactive | `nix_api::shell::run_is_not_interactive` |
//! | 64 | `command`: a command in an interactive shell | `nix_api::shell::command_is_interactive` |
//! | 65 | a home that can be written | `nix_api::shell::the_home_can_be_written` |
//! | 66 | a home that does not exist | `nix_api::shell::the_home_may_not_exist` |
//! | 67 | `buildDerivation` works in it | `nix_api::shell::the_derivation_builds` |
//! | 68 | chown in runAsRoot stays | `root::owner_of_a_file`, by fakeRootCommands `fake::owner_of_a_file`, and given by perms `alone::owner_of_a_file` |
//! | 69 | a user who is not root owns files | `alone::owner_of_the_store` |
//! | 70 | the signatures of the Nix database | not built yet: signatures |

mod alone;
mod based;
mod examples;
mod fake;
mod merged;
mod root;
mod tools;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many checks there are.
const CHECKS: usize = 70;

/// The rows of the table, their cells trimmed.
fn rows() -> Vec<[String; 3]> {
    let table = include_str!("docker_tools.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = |row: &str| -> [String; 3] {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        <[&str; 3]>::try_from(cells).unwrap_or_else(|cells| panic!("{cells:?}")).map(|cell| cell.trim().to_owned())
    };
    table.skip(1).map(cells).collect()
}

/// The tests that a cell names.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The functions with `#[test]` in a file.
fn test_functions(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let functions = text.split("#[test]\nfn ").skip(1);
    functions.map(|function| function.split_once('(').unwrap().0.to_owned()).collect()
}

#[test]
fn every_check_has_its_row() {
    let numbers: Vec<String> = rows().into_iter().map(|[number, ..]| number).collect();
    assert_eq!(numbers, (1..=CHECKS).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    for [number, _, shown] in rows() {
        for name in named(&shown) {
            let (module, function) = name.rsplit_once("::").unwrap();
            let file = format!("{}.rs", module.replace("::", "/"));
            let files = [tests().join("docker_tools").join(&file), tests().join(&file)];
            let found = files.iter().any(|file| test_functions(file).contains(function));
            assert!(found, "check {number}: no test {name}");
        }
        let reason = ["needs ", "not built yet: "].iter().any(|reason| shown.starts_with(reason));
        assert!(reason || shown.starts_with('`'), "check {number}: {shown}");
    }
}

#[test]
fn every_test_has_its_row() {
    let named: BTreeSet<String> = rows().iter().flat_map(|[.., shown]| named(shown)).map(str::to_owned).collect();
    for module in ["alone", "based", "merged"] {
        let functions = test_functions(&tests().join(format!("docker_tools/{module}.rs")));
        assert!(!functions.is_empty(), "{module}");
        for function in functions {
            assert!(named.contains(&format!("{module}::{function}")), "{module}::{function} is in no row");
        }
    }
}
