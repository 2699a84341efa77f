//! The program's tests: everything here drives the built binary, as a user does, and looks at the files that it leaves.
//!
//! | module | shows |
//! |---|---|
//! | `absent` | files that are not there, empty files and directories, by every command and every flag: what to do is told |
//! | `archives` | an archive that was built before is left alone, or copied from, as long as it is the very file |
//! | `bad_bases` | base images that are cut, damaged, contradictory, hostile |
//! | `bad_graph` | graphs, plans and numbers that are wrong |
//! | `bad_output` | outputs that cannot be written |
//! | `bad_spec` | image specs and command lines that are wrong |
//! | `bad_store` | stores and layer files that have vanished, changed, or hold what they cannot |
//! | `bases` | base images of every kind give one image: which of several is meant, what the new image keeps |
//! | `bench` | `cargo xtask bench layering` plans and updates a small closure with every strategy |
//! | `book` | the table of contents of docs/, and where links of all pages lead |
//! | `cache` | what was learned about layers: nothing is read twice, nothing wrong is believed, many at once |
//! | `checks` | what keeps an image from running is told before it is written; layers that are no image |
//! | `chunked` | layers in zstd:chunked: the same everywhere, and fetched chunk by chunk |
//! | `client` | docker, podman, skopeo and umoci take the images and run what is in them |
//! | `closures` | what is asked about closures: verify, why, diff; what is left when a path is left out |
//! | `copied_files` | plain files in images: in one go and by stages, by ninja and make, over bases, with scripts, run |
//! | `copied_libraries` | what copied programs need, found on this machine: by stages, by ninja and make, run in docker |
//! | `crates` | the libraries as crates.io wants them: pages, words, licences, versions |
//! | `database` | what a store's database says, whoever else uses it, from wherever it can be read |
//! | `dist` | the static binary runs in an empty root |
//! | `divided` | copied directories in several layers: what an update sends again, by stages, by ninja and make |
//! | `docker_tools` | the checks of nixpkgs' own test of dockerTools, in docker: the table of which are shown where |
//! | `customisation` | the customisation layer: GNU tar's bytes of what lndir and the script make |
//! | `debian` | images on Debian, as docker, buildah and skopeo hand it over, run; nginx serves a page |
//! | `determinism` | same inputs, same bytes, whatever the machine, the user, the threads |
//! | `erofs` | layers as EROFS file systems: the kernel shows the files of the tar; what is there stays; what cannot be |
//! | `export` | the files of an image as one flat tar: as GNU tar unpacks its layers, as docker exports it |
//! | `fake_root` | scripts as a fake root: fakeroot's bytes, whoever runs them; the layer as their root |
//! | `faults` | system calls that fail: locks, write-back, close, openat2 |
//! | `golden` | what nixpkgs makes of the synthetic store comes out, to the byte |
//! | `graphs` | references graphs in every form, and the scanned store, give one closure |
//! | `help` | the help of every command, word for word |
//! | `hostile` | archives, layers and codecs that mean harm: a clear error or the right result, in little memory, disk and time |
//! | `huge` | a file of more than 8 GiB, in little memory |
//! | `image_diff` | what two images differ in: layers to send, store paths |
//! | `image_spec` | what is written follows the OCI image specification, clause by clause; each check can fail |
//! | `inspect` | what any file of the line is, for people and as JSON |
//! | `keep` | plans that follow a previous one, layers asked for, a least size of layers, a base image |
//! | `kill` | kill -9 at any moment changes no output |
//! | `language` | what docs/style.md calls wrong stands on no page and in no help |
//! | `layers_below` | layers that are made already, below all others: the same in every image, in one go, by ninja and make |
//! | `legacy` | what docker archives held before there was a manifest.json |
//! | `machines` | what other programs read and write: files of results, dry runs, schemas, a first image.json, codes of errors |
//! | `made_stages` | rootLayer and plan of an image.json, made already: in one go, by ninja and make; bad ones |
//! | `matrix` | every command with every kind of spec; signals end each of them, whatever it does |
//! | `mentions` | store paths that files mention and a references graph does not have are left out |
//! | `merge` | images of several files in one archive, each image and each layer once |
//! | `merge_trees` | directories and tars merged into one tree: as cp and tar do, conflicts told |
//! | `modes` | modes and owners of outputs that replace others |
//! | `names` | spaces, newlines, bytes that are no UTF-8, long paths |
//! | `nix` | what Nix recorded of a store that it made here, from its database and by scanning |
//! | `nix_api` | nix/: dockerTools' API in a real Nix: what is built, built again, built elsewhere, substituted, run |
//! | `nix_db` | Nix's database in an image: Nix takes what is unpacked for its own; bases that bring one along |
//! | `others` | layouts and archives as other programs write them: names, artifacts, what they say, `dir:` |
//! | `outputs` | what `build` writes where: plain, compressed, on stdout; names, tags, the dry run |
//! | `overwrite` | no output over an input, over another output, or in the store: every command, every kind of input |
//! | `perms` | owners and modes by rule, and contents that disagree about a directory's mode |
//! | `places` | kinds of places and endings of names, by every command; nothing is left of what fails |
//! | `plain_stores` | any directory as a store: relative, below a root, through links; store paths that are files |
//! | `platforms` | which of several images for several platforms is taken, whatever holds them |
//! | `readme` | the commands in README.md print what it says they print |
//! | `ready` | ready contents: in every kind of image, on a base, alone in a directory |
//! | `records` | only what an earlier run wrote is removed, and only if all else succeeds |
//! | `registry` | images of registries, OCI layouts and the engines: pushed, pulled, copied, served; clause by clause |
//! | `remote_bases` | images in registries and every other place, as bases and to look into |
//! | `report` | the report on an image: its data, and its page in a browser, by pointer, by keyboard, for everybody |
//! | `reports` | what is wrong with a plan, what it costs, what an update sends again |
//! | `root_script` | scripts as root over a base, in every backend: the layer, what they see, what goes wrong |
//! | `sandbox` | what scripts reach of the machine, bounds, what is said where a sandbox is lacking |
//! | `settings` | time, owner, root directory, architecture: by flag and by image.json |
//! | `shared_folders` | directories that everybody can write to, and what others put there |
//! | `single` | images of one layer: GNU tar's bytes of the root and the store paths behind it |
//! | `slips` | what is told about some hundred slips, word for word |
//! | `stages` | the stages one by one give the bytes of `build` |
//! | `strategies` | which strategy plans: by flag, by image.json, by default; bad pipelines |
//! | `streams` | stdin, stdout and stderr: what goes where, what is silent |
//! | `tar_layers` | tars that become layers as they are: by stages, in one go, by ninja and make; bad ones |
//! | `today` | docker, containerd, podman, buildah and skopeo of Debian 13 take and run every form of image |
//! | `walks` | people who see it for the first time, step by step: without Nix, with a store |
//! | `workspace` | who depends on whom, how long files are, how modules begin |
//! | `wires` | ninja and make run the stages: what is made anew, what stages may be replaced by, names of every kind |
//! | `xattrs` | extended attributes and file capabilities: GNU tar's bytes, from store paths, copies and scripts |
//! | `support` | how the others run the binary, where they work, and what happens when a tool is missing |
//!
//! `cargo test -p layerstone --test program` runs them all. A test that needs a tool which this machine lacks prints
//! `SKIP name: reason`, and the run ends with the list of all that was skipped; under `LAYERSTONE_REQUIRE_ALL=1` a skip
//! is a failure. docs/testing.md says more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod absent;
mod archives;
mod bad_bases;
mod bad_graph;
mod bad_output;
mod bad_spec;
mod bad_store;
mod bases;
mod bench;
mod book;
mod cache;
mod checks;
mod chunked;
mod client;
mod closures;
mod configuration;
mod copied_files;
mod copied_libraries;
mod crates;
mod customisation;
mod database;
mod debian;
mod determinism;
mod dist;
mod divided;
mod docker_tools;
mod erofs;
mod export;
mod fake_root;
mod faults;
mod golden;
mod graphs;
mod help;
mod hostile;
mod huge;
mod image_diff;
mod image_spec;
mod inspect;
mod keep;
mod kill;
mod language;
mod layers_below;
mod legacy;
mod machines;
mod made_stages;
mod matrix;
mod mentions;
mod merge;
mod merge_trees;
mod modes;
mod mounts;
mod names;
mod nix;
mod nix_api;
mod nix_db;
mod others;
mod outputs;
mod overwrite;
mod perms;
mod places;
mod plain_stores;
mod platforms;
mod policy;
mod provenance;
mod rates;
mod readme;
mod ready;
mod records;
mod registry;
mod remote_bases;
mod report;
mod reports;
mod root_script;
mod sandbox;
mod sbom;
mod screens;
mod settings;
mod shared_folders;
mod single;
mod slips;
mod stages;
mod strategies;
mod streams;
mod summaries;
mod support;
mod tar_layers;
mod today;
mod walks;
mod wires;
mod workspace;
mod xattrs;
