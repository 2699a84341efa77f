//! Encodes the frames that a guest sends to its host, and decodes them again.

use layerstone_guest::{Frame, Phase};
use layerstone_store::Limits;

fn main() -> std::io::Result<()> {
    let sent = [Frame::Hello("6.1.0".to_owned()), Frame::Phase(Phase::Script), Frame::Log(b"hello\n".to_vec())];
    let bytes: Vec<u8> = sent.iter().flat_map(Frame::encode).collect();
    let mut rest = &bytes[..];
    while let Some((frame, length)) = Frame::decode(rest, &Limits::default())? {
        println!("{length} bytes: {frame:?}");
        rest = &rest[length..];
    }
    Ok(())
}
