//! What a fuzzer drives of this crate, and what must hold whatever it finds: members of a tar, written again as Python writes
//! them, are read as they were.

use crate::python_tar::{TarInfo, read_members};
use layerstone_image::HeaderBounds;
use layerstone_store::Limits;
use layerstone_tar::{BLOCK, Kind, Part};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

/// A tar by Python's rules.
pub fn python_tar(bytes: &[u8]) {
    let (infos, result) = read(bytes);
    // A directory of V7 is known by a slash, which a long name may have too: it is none before it is written.
    let is_v7 = |info: &TarInfo| info.flag == 0 && info.name.ends_with(b"/");
    if result.is_err() || infos.iter().any(is_v7) {
        return;
    }
    let written = read_again(&infos);
    // A record of a member that says otherwise than its header has priority, as with Python; then nothing does any more.
    assert_eq!(read_again(&written), written);
    if infos.iter().all(|info| info.pax.is_empty()) {
        let bare = |info: &TarInfo| TarInfo { pax: Arc::default(), ..info.clone() };
        assert_eq!(written.iter().map(bare).collect::<Vec<_>>(), infos);
    }
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 16) {
        let (found, _) = read(&bytes[..end]);
        assert_eq!(found, infos[..found.len().min(infos.len())], "the first {end} bytes");
    }
}

/// Members as they are read once they are written.
fn read_again(infos: &[TarInfo]) -> Vec<TarInfo> {
    let mut tar = Vec::new();
    for info in infos {
        tar.extend(info.header());
        if let Kind::File { size } = info.kind() {
            let size = usize::try_from(size).expect("it was in the input");
            tar.resize((tar.len() + size).next_multiple_of(BLOCK), b'x');
        }
    }
    let (found, result) = read(&tar);
    assert!(result.is_ok(), "{result:?}: {infos:?}");
    found
}

fn read(bytes: &[u8]) -> (Vec<TarInfo>, io::Result<usize>) {
    let mut file: File = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("a file");
    let part = Part::new(Arc::new(file), "tar", 0, bytes.len() as u64);
    let mut infos = Vec::new();
    let members = read_members(&part, HeaderBounds::new(Limits::default()), &mut infos);
    let members = members.map(|members| {
        assert_eq!(members.len(), infos.len());
        let ends = members.iter().map(|member| member.offset + member.kind.size());
        assert!(ends.max().unwrap_or(0) <= part.size());
        members.len()
    });
    (infos, members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::PathBuf;
    use std::process::Command;

    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("python_tar", super::python_tar);
    }

    /// Prints what tarfile reads of each tar: a list of members, or null where it raises an error.
    const TARFILE: &str = r#"
import json, sys, tarfile
text = lambda s: s.encode("utf-8", "surrogateescape").hex()
def member(m):
    pax = [[text(k), text(v)] for k, v in m.pax_headers.items()]
    return [text(m.name), m.mode & 0o7777, m.uid, m.gid, m.size, round(m.mtime), m.type[0], text(m.linkname), text(m.uname),
            text(m.gname), pax]
for path in sys.argv[1:]:
    try:
        members = tarfile.open(path, "r:").getmembers()
    except Exception:
        print("null")
    else:
        print(json.dumps([member(m) for m in members]))
"#;

    /// What we read of a tar is what Python's tarfile reads of it, for all inputs that were kept.
    #[test]
    fn tarfile_reads_the_same() {
        let mut inputs: Vec<PathBuf> =
            ["python_tar", "tar_members", "image_archive"].into_iter().flat_map(xtask::fuzz_inputs).collect();
        // What Python refuses and we do not is a file of no bytes alone.
        let is_read = |bytes: Vec<u8>| !bytes.is_empty() && read(&bytes).1.is_ok();
        inputs.retain(|input| is_read(std::fs::read(input).unwrap()));
        assert!(inputs.len() > 10, "{inputs:?}");
        let Ok(output) = Command::new("python3").args(["-c", TARFILE]).args(&inputs).output() else {
            return println!("SKIP tarfile_reads_the_same: found no python3");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<Value> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), inputs.len());
        for (input, theirs) in inputs.iter().zip(lines) {
            let ours: Vec<Value> = read(&std::fs::read(input).unwrap()).0.iter().map(shown).collect();
            assert_eq!(Value::from(ours), theirs, "{}", input.display());
        }
    }

    fn shown(info: &TarInfo) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let pax: Vec<Value> = info.pax.iter().map(|(key, value)| json!([hex(key), hex(value)])).collect();
        let TarInfo { name, mode, uid, gid, size, mtime, flag, linkname, uname, gname, .. } = info;
        let [name, link, user, group] = [name, linkname, uname, gname].map(|it| hex(it));
        json!([name, mode, uid, gid, size, mtime, flag, link, user, group, pax])
    }
}
