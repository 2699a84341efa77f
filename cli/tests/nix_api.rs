//! nix/: dockerTools' API, evaluated and built by a real Nix with a /nix of its own, from packages of the lab.

mod bill;
mod cache;
mod compatible;
mod derivation;
mod elsewhere;
mod examples;
mod flake;
mod functions;
mod index;
mod layer;
mod layered;
mod machine;
mod mentions;
mod pulled;
mod readme;
mod refused;
mod remote;
mod shell;
mod snapshotter;
mod times;
mod walk;
