//! What a script prints, with the name that messages give it in place of the temporary file that bash reads.

use std::io::{self, Write};
use std::path::Path;

/// Writes on what a script prints. bash begins its own messages with the path of the file; that is held back until it is
/// whole or something else comes.
pub struct ScriptLog<'a> {
    to: &'a mut dyn Write,
    path: Vec<u8>,
    name: String,
    /// The part of the path that the last bytes may be the beginning of; none in the middle of a line.
    held: Option<usize>,
}

impl<'a> ScriptLog<'a> {
    pub fn new(to: &'a mut dyn Write, path: &Path, name: &str) -> ScriptLog<'a> {
        let path = [path.as_os_str().as_encoded_bytes(), b":"].concat();
        ScriptLog { to, path, name: name.to_owned(), held: Some(0) }
    }

    /// A line as it is to be shown.
    pub fn renamed(&self, line: &str) -> String {
        let path = String::from_utf8_lossy(&self.path);
        line.strip_prefix(&*path).map_or_else(|| line.to_owned(), |rest| format!("{}:{rest}", self.name))
    }

    /// Writes what was held back: nothing else will come.
    pub fn finish(&mut self) -> io::Result<()> {
        let held = self.held.take().unwrap_or(0);
        self.to.write_all(&self.path[..held])?;
        self.to.flush()
    }
}

impl Write for ScriptLog<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match self.held {
                Some(held) if self.path[held] == byte && held + 1 == self.path.len() => {
                    out.extend_from_slice(self.name.as_bytes());
                    out.push(b':');
                    self.held = None;
                }
                Some(held) if self.path[held] == byte => self.held = Some(held + 1),
                held => {
                    out.extend_from_slice(&self.path[..held.unwrap_or(0)]);
                    out.push(byte);
                    self.held = (byte == b'\n').then_some(0);
                }
            }
        }
        self.to.write_all(&out)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file() {
        let text = "/t/script: line 1: x\n/t/scripts\nsee /t/script: y\n/t/scr";
        for size in 1..text.len() {
            let mut out = Vec::new();
            let mut log = ScriptLog::new(&mut out, Path::new("/t/script"), "extraCommands");
            text.as_bytes().chunks(size).for_each(|chunk| log.write_all(chunk).unwrap());
            log.finish().unwrap();
            let expected = "extraCommands: line 1: x\n/t/scripts\nsee /t/script: y\n/t/scr";
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
