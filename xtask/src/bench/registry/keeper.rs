//! Programs that keep images while something is measured: docker-registry, and `layerstone serve`.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// docker-registry, empty at first; it ends when dropped, and what it keeps goes with it.
pub struct Keeper {
    child: Child,
    host: String,
    folder: PathBuf,
}

impl Keeper {
    /// Starts one on a free port.
    pub fn start(folder: &Path) -> Result<Keeper> {
        fs::create_dir_all(folder)?;
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = folder.join("config.yml");
        let data = folder.join("data");
        fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{host}\"}}\n",
                data.display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("cannot run: docker-registry")?;
        let keeper = Keeper { child, host, folder: folder.to_owned() };
        for _ in 0..500 {
            if TcpStream::connect(&keeper.host).is_ok() {
                return Ok(keeper);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("docker-registry does not answer at {}", keeper.host)
    }

    /// Bytes of all that it keeps.
    pub fn bytes(&self) -> Result<f64> {
        let mut du = Command::new("du");
        let told = crate::process::output(du.args(["-sb", "--"]).arg(self.folder.join("data")))?;
        told.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).context("du tells no size")
    }

    /// Where it answers.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// `layerstone serve`, which ends when dropped.
pub struct Served {
    child: Child,
    /// What it serves.
    pub name: String,
}

/// Starts it, and waits until it answers.
pub fn serve(command: &mut Command) -> Result<Served> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run: layerstone serve")?;
    let stdout = child.stdout.take().context("no stdout")?;
    let mut name = String::new();
    BufReader::new(stdout).read_line(&mut name)?;
    if name.is_empty() {
        bail!("layerstone serve: {}", child.wait()?);
    }
    Ok(Served { child, name: name.trim().to_owned() })
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
