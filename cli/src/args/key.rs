//! The flags that name keys: one that signs, with its password, and those that verify.

use crate::message::interrupt;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_attestation::{PrivateKey, PublicKey};
use layerstone_pipeline::Error;
use layerstone_store::read_input;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::env::var_os;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, IsTerminal, Write, stdin};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The variable that has the password of a key, as cosign has it.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// The password of a key.
#[derive(Args)]
pub struct PasswordArgs {
    /// File with the password of the key [default: $COSIGN_PASSWORD, or it is asked for]
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
}

/// Keys of which one must have signed what is used.
#[derive(Args, Clone, Default)]
pub struct VerifyKeyArgs {
    /// Use nothing that this public key (PEM) has not signed, or one of several; one --verify-key for each
    #[arg(long, value_name = "FILE")]
    verify_key: Vec<PathBuf>,
}

impl VerifyKeyArgs {
    /// The keys.
    pub fn keys(&self) -> Result<Vec<PublicKey>> {
        public_keys(&self.verify_key)
    }

    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.verify_key.iter()
    }
}

/// Reads public keys, each called as its file is.
pub fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>> {
    let read =
        |path: &PathBuf| Ok(PublicKey::from_pem(&read_input(path)?, &path.display().to_string()).map_err(Error::from)?);
    paths.iter().map(read).collect()
}

impl PasswordArgs {
    /// Reads a private key, and its password only if it has one.
    pub fn private_key(&self, path: &Path) -> Result<PrivateKey> {
        let name = path.display().to_string();
        PrivateKey::from_pem(&read_input(path)?, &name, || self.password(&name)).map_err(told)
    }

    fn password(&self, key: &str) -> Result<Vec<u8>, KeyError> {
        if let Some(path) = &self.password_file {
            let mut password = read_input(path)?;
            // Editors and echo end it with a line's end.
            if password.ends_with(b"\n") {
                password.pop();
            }
            return Ok(password);
        }
        if let Some(password) = var_os(PASSWORD) {
            return Ok(password.into_vec());
        }
        if !stdin().is_terminal() {
            let cause = format!("found no password, expected ${PASSWORD}, --password-file or a terminal");
            return Err(layerstone_attestation::Error::Encrypted { name: key.to_owned(), cause }.into());
        }
        ask(key).map_err(KeyError)
    }

    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.password_file.iter()
    }
}

/// An error of a key, or of reading its password.
struct KeyError(anyhow::Error);

impl<E: Into<layerstone_pipeline::Error>> From<E> for KeyError {
    fn from(error: E) -> KeyError {
        KeyError(error.into().into())
    }
}

fn told(KeyError(error): KeyError) -> anyhow::Error {
    error
}

/// Asks at the terminal, which does not show what is typed.
fn ask(key: &str) -> Result<Vec<u8>> {
    let doing = || format!("cannot ask for the password of {key}");
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").with_context(doing)?;
    let before = tcgetattr(&terminal).with_context(doing)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).with_context(doing)?;
    let asked = (&terminal).write_all(format!("password of {}: ", key.escape_debug()).as_bytes());
    let mut line = String::new();
    let read = asked.and_then(|()| BufReader::new(&terminal).read_line(&mut line));
    // Whatever happened, the terminal is as it was; a line's end was not shown either.
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    let _ = (&terminal).write_all(b"\n");
    read.with_context(doing)?;
    restored.with_context(doing)?;
    if interrupt::has_come() {
        bail!("{}: interrupted", doing());
    }
    Ok(line.trim_end_matches(['\r', '\n']).as_bytes().to_vec())
}
