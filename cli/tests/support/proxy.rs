//! Proxies: one in memory that leads every name to one server, and squid.

use crate::support::{require_tool, test_name};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a connection through a tunnel is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `HOST:PORT`.
    pub target: String,
    /// `Proxy-Authorization`, or `USER:PASSWORD` of SOCKS.
    pub user: Option<String>,
    /// The first bytes that were sent through it.
    pub first: Vec<u8>,
}

impl Asked {
    /// Whether it is for TLS (RFC 8446, section 5.1).
    pub fn is_tls(&self) -> bool {
        self.first.first() == Some(&0x16)
    }
}

/// A proxy that makes tunnels, by CONNECT or by SOCKS 5, all of them to one server. It ends with the test.
pub struct Tunnel {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    is_over: Arc<AtomicBool>,
}

impl Tunnel {
    /// Whatever is asked for, this server of 127.0.0.1 answers.
    pub fn to(server: &str) -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, is_over) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (kept, over, server) = (Arc::clone(&asked), Arc::clone(&is_over), server.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (kept, server) = (Arc::clone(&kept), server.clone());
                thread::spawn(move || drop(tunnel(stream.unwrap(), &server, &kept)));
            }
        });
        Tunnel { address, asked, is_over }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// All connections so far on which something was sent.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn tunnel(stream: TcpStream, server: &str, kept: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let (target, user) = if reader.fill_buf()?.first() == Some(&5) {
        socks(&mut reader, &mut writer)?
    } else {
        http(&mut reader, &mut writer)?
    };
    let first = reader.fill_buf()?.to_vec();
    kept.lock().unwrap().push(Asked { target, user, first });
    let other = TcpStream::connect(server)?;
    let mut to_client = (other.try_clone()?, writer.try_clone()?);
    thread::spawn(move || {
        let _ = copy(&mut to_client.0, &mut to_client.1);
        let _ = to_client.1.shutdown(Shutdown::Write);
    });
    copy(&mut reader, &mut &other)?;
    other.shutdown(Shutdown::Write)
}

fn http(reader: &mut impl BufRead, writer: &mut impl Write) -> std::io::Result<(String, Option<String>)> {
    let (mut line, mut user) = (String::new(), None);
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    assert!(line.starts_with("CONNECT "), "{line}");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("proxy-authorization") => user = Some(value.to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    writer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    Ok((target, user))
}

/// RFC 1928 and RFC 1929.
fn socks(reader: &mut impl Read, writer: &mut impl Write) -> std::io::Result<(String, Option<String>)> {
    let mut bytes = |count: usize| {
        let mut bytes = vec![0; count];
        reader.read_exact(&mut bytes).map(|()| bytes)
    };
    let count = bytes(2)?[1];
    let wants_password = bytes(count.into())?.contains(&2);
    writer.write_all(&[5, if wants_password { 2 } else { 0 }])?;
    let mut user = None;
    if wants_password {
        let length = bytes(2)?[1];
        let name = String::from_utf8(bytes(length.into())?).unwrap();
        let length = bytes(1)?[0];
        user = Some(format!("{name}:{}", String::from_utf8(bytes(length.into())?).unwrap()));
        writer.write_all(&[1, 0])?;
    }
    let head = bytes(4)?;
    assert_eq!(head[3], 3, "the proxy looks up names");
    let length = bytes(1)?[0];
    let name = String::from_utf8(bytes(length.into())?).unwrap();
    let port = bytes(2)?;
    writer.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((format!("{name}:{}", u16::from_be_bytes([port[0], port[1]])), user))
}

/// squid of Debian with names of its own, which ends when dropped.
pub struct Squid {
    child: Child,
    host: String,
    folder: tempfile::TempDir,
}

impl Squid {
    /// All of these names are 127.0.0.1. It makes tunnels to this port alone. Without squid the running test is skipped.
    #[track_caller]
    pub fn start(names: &[&str], tunnels_to: u16) -> Option<Squid> {
        if !require_tool("squid") {
            return None;
        }
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // As root it becomes another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = folder.path().display();
        fs::write(folder.path().join("hosts"), format!("127.0.0.1 {}\n", names.join(" "))).unwrap();
        // Somebody else may take the port between us and squid.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "http_port 127.0.0.1:{port}\nhosts_file {path}/hosts\npid_filename none\naccess_log stdio:{path}/access\n\
                 cache_log {path}/log\ncache deny all\ncache_mem 8 MB\nacl tunnels port {tunnels_to}\n\
                 http_access deny CONNECT !tunnels\nhttp_access allow all\nshutdown_lifetime 0 seconds\n\
                 coredump_dir {path}\nvisible_hostname proxy.example\npinger_enable off\nnetdb_filename none\n"
            );
            fs::write(folder.path().join("config"), config).unwrap();
            let mut squid = Command::new("squid");
            squid.arg("-N").arg("-f").arg(folder.path().join("config")).stdin(Stdio::null());
            let said = File::create(folder.path().join("said")).unwrap();
            let mut child = squid.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
            if answers(&mut child, port) {
                return Some(Squid { child, host: format!("127.0.0.1:{port}"), folder });
            }
            let _ = child.kill();
            child.wait().unwrap();
        }
        panic!("{}: {}", test_name(), fs::read_to_string(folder.path().join("said")).unwrap());
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it did: a line each, in which the method and the address stand.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("access")).unwrap()
    }
}

impl Drop for Squid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answers(child: &mut Child, port: u16) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(30) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
