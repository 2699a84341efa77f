//! A server that says what a test wants: each request goes to a function, which answers it, or breaks off.

use crate::support::registry::Certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What somebody asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Bytes of its body; none of one in chunks, which does not say.
    pub fn length(&self) -> Option<usize> {
        let is_chunked = self.header("transfer-encoding") == Some("chunked");
        (!is_chunked).then(|| self.header("content-length").map_or(0, |length| length.parse().unwrap()))
    }

    /// The values of a key in the query, not decoded but for `%2F` and `%3A`.
    pub fn query(&self, key: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).map(|(_, it)| decode(it)).collect()
    }
}

fn decode(text: &str) -> String {
    text.replace("%2F", "/").replace("%3A", ":").replace("%2C", ",")
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// After so many bytes of the body the connection breaks.
    pub cut: Option<usize>,
    /// What `Content-Length` says, if not the truth.
    pub length: Option<u64>,
}

impl Answer {
    pub fn new(status: u16) -> Answer {
        Answer { status, ..Answer::default() }
    }

    pub fn bytes(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, body: body.into(), ..Answer::default() }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Answer {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn cut(self, after: usize) -> Answer {
        Answer { cut: Some(after), ..self }
    }

    /// The status line and the headers.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} x\r\n", self.status);
        head += &format!("Content-Length: {}\r\n", self.length.unwrap_or(self.body.len() as u64));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        format!("{head}\r\n").into_bytes()
    }
}

/// What servers of plain HTTP say to something else, such as TLS; [`read_head`] tells that it came.
pub const NO_HTTP: &[u8] = b"HTTP/1.1 400 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A server, which ends when dropped.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts on a free port of 127.0.0.1.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        Server::with(None, answer)
    }

    /// The same with TLS.
    pub fn start_tls(tls: &Certificates, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        Server::with(Some(tls_config(tls)), answer)
    }

    fn with(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, is_over) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let (kept, over, answer) = (Arc::clone(&seen), Arc::clone(&is_over), Arc::new(answer));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (kept, answer, stream) = (Arc::clone(&kept), Arc::clone(&answer), stream.unwrap());
                // A client may break off at any place.
                let session = tls.clone().map(|tls| rustls::ServerConnection::new(tls).unwrap());
                thread::spawn(move || match session {
                    None => drop(serve(stream, &kept, &*answer)),
                    Some(session) => drop(serve(rustls::StreamOwned::new(session, stream), &kept, &*answer)),
                });
            }
        });
        Server { address, seen, is_over, thread: Some(thread) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// All that was asked so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How often this method was asked for a path with this in it.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|it| it.method == method && it.target.contains(part)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the one that waits.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How a server with these certificates speaks TLS.
pub fn tls_config(tls: &Certificates) -> Arc<rustls::ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&tls.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&tls.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

fn serve<S: Read + Write>(
    stream: S,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = match read(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                return reader.get_mut().write_all(NO_HTTP);
            }
            Err(e) => return Err(e),
        };
        seen.lock().unwrap().push(request.clone());
        let answer = answer(&request);
        let stream = reader.get_mut();
        stream.write_all(&answer.head())?;
        if request.method != "HEAD" {
            stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())])?;
        }
        stream.flush()?;
        if answer.cut.is_some() {
            return Ok(());
        }
    }
}

fn read<S: Read>(reader: &mut BufReader<S>) -> std::io::Result<Option<Request>> {
    let Some(mut request) = read_head(reader)? else { return Ok(None) };
    request.body = read_body(reader, &request, usize::MAX)?;
    Ok(Some(request))
}

/// The body of a request, or so many bytes of it.
pub fn read_body<S: Read>(reader: &mut BufReader<S>, request: &Request, most: usize) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = request.length() {
        read_exactly(reader, &mut body, length.min(most))?;
        return Ok(body);
    }
    while body.len() < most {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Ok(size) = usize::from_str_radix(line.trim_end(), 16) else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let count = size.min(most - body.len());
        read_exactly(reader, &mut body, count)?;
        if count == size {
            read_exactly(reader, &mut Vec::new(), "\r\n".len())?;
        }
        if size == 0 {
            break;
        }
    }
    Ok(body)
}

fn read_exactly<S: Read>(reader: &mut BufReader<S>, body: &mut Vec<u8>, count: usize) -> std::io::Result<()> {
    let found = reader.take(count as u64).read_to_end(body)?;
    if found == count { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}

/// A request without its body; none at the end of the connection.
pub fn read_head<S: Read>(reader: &mut BufReader<S>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    // What is no text is an error of this kind as well.
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    if !line.trim_end().ends_with(" HTTP/1.1") {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, target, ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Ok(Some(request)) };
        request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}
