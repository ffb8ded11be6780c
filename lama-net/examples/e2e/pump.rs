//! What is compared with: the same bytes read from a file, sealed with the same cipher in records of the same size, sent
//! over the same WebSocket crate, opened, hashed and written, with one sync at the end; and nothing else.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use bytes::BytesMut;
use lama_handshake::noise::CipherState;
use sha2::{Digest as _, Sha256};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::usage;

const KEY: [u8; 32] = [9; 32];
/// Bytes of a full record's body.
const BODY: usize = 65_500;

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(128 << 10).write_buffer_size(64 << 10)
}

pub(crate) fn send(file: &Path) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    println!("> port {}", socket.local_addr().unwrap().port());
    let (stream, _) = socket.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut link = WebSocket::from_raw_socket(stream, Role::Server, Some(config()));
    let mut cipher = CipherState::new(&KEY);
    let mut file = File::open(file).unwrap();
    println!("> begun {}", usage::stamp());
    loop {
        let mut record = BytesMut::zeroed(BODY);
        let mut filled = 0;
        while filled < BODY {
            match file.read(&mut record[filled..]).unwrap() {
                0 => break,
                read => filled += read,
            }
        }
        record.truncate(filled);
        let last = filled == 0;
        cipher.seal(&[], &mut record, 0).unwrap();
        link.write(Message::Binary(record.freeze())).unwrap();
        if last {
            break;
        }
    }
    link.flush().unwrap();
    while link.read().is_ok() {}
}

pub(crate) fn receive(port: u16, file: &Path) {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut link = WebSocket::from_raw_socket(stream, Role::Client, Some(config()));
    let mut cipher = CipherState::new(&KEY);
    let mut out = File::create(file).unwrap();
    let (mut hash, mut in_hash) = (Sha256::new(), 0);
    loop {
        let Message::Binary(record) = link.read().unwrap() else { continue };
        let mut record: BytesMut = record.into();
        cipher.open(&[], &mut record).unwrap();
        if record.is_empty() {
            break;
        }
        // One hash for each 256 KiB, as for the chunks of a blob.
        hash.update(&record);
        in_hash += record.len();
        if in_hash >= 256 << 10 {
            std::hint::black_box(std::mem::take(&mut hash).finalize());
            in_hash = 0;
        }
        out.write_all(&record).unwrap();
    }
    out.sync_all().unwrap();
    println!("> ended {}", usage::stamp());
}
