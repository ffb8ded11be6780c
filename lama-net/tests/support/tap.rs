//! A TCP proxy that remembers every byte of both directions, and reads the WebSocket frames in them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One frame, without its mask.
#[derive(Debug, Clone)]
pub struct Frame {
    pub from_client: bool,
    pub payload: Vec<u8>,
}

#[derive(Default)]
struct Line {
    /// Pieces as they came, so that the order of the two directions is kept.
    pieces: Vec<(bool, Vec<u8>)>,
    ends: Vec<TcpStream>,
}

/// Forwards every connection, until the test ends.
pub struct Tap {
    pub port: u16,
    lines: Arc<Mutex<Vec<Arc<Mutex<Line>>>>>,
}

impl Tap {
    pub fn start(server: u16) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&lines);
        thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let line = Arc::new(Mutex::new(Line::default()));
                line.lock().unwrap().ends = vec![client.try_clone().unwrap(), server.try_clone().unwrap()];
                shared.lock().unwrap().push(Arc::clone(&line));
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let other = Arc::clone(&line);
                thread::spawn(move || copy(from, to, true, &other));
                thread::spawn(move || copy(server, client, false, &line));
            }
        });
        Self { port, lines }
    }

    /// Breaks every connection.
    pub fn cut(&self) {
        for line in self.lines.lock().unwrap().iter() {
            for end in &line.lock().unwrap().ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }

    /// The frames of every connection that was used for a call by its caller, oldest first.
    pub fn calls(&self) -> Vec<Vec<Frame>> {
        let lines = self.lines.lock().unwrap();
        let calls = lines.iter().map(|line| frames(&line.lock().unwrap().pieces));
        calls
            .filter(|frames| {
                frames.iter().any(|frame| {
                    frame.from_client && frame.payload.first() == Some(&7) && frame.payload.len() == 33
                })
            })
            .collect()
    }

    /// All that was there to be seen: each direction as it went over the wire, and without masks.
    pub fn captures(&self) -> Vec<Vec<u8>> {
        let lines = self.lines.lock().unwrap();
        let mut captures = Vec::new();
        for line in lines.iter() {
            let pieces = &line.lock().unwrap().pieces;
            for from_client in [true, false] {
                captures.push(one_way(pieces, from_client));
                let own = frames(pieces).into_iter().filter(|frame| frame.from_client == from_client);
                captures.push(own.flat_map(|frame| frame.payload).collect());
            }
        }
        captures
    }
}

fn one_way(pieces: &[(bool, Vec<u8>)], from_client: bool) -> Vec<u8> {
    pieces.iter().filter(|(client, _)| *client == from_client).flat_map(|(_, bytes)| bytes.clone()).collect()
}

/// The frames of both directions in the order in which each was complete.
fn frames(pieces: &[(bool, Vec<u8>)]) -> Vec<Frame> {
    let mut open = [Vec::new(), Vec::new()];
    let mut upgraded = [false, false];
    let mut frames = Vec::new();
    for (from_client, bytes) in pieces {
        let side = usize::from(*from_client);
        open[side].extend_from_slice(bytes);
        if !upgraded[side] {
            let Some(end) = open[side].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            open[side].drain(..end + 4);
            upgraded[side] = true;
        }
        while let Some((payload, len)) = frame(&open[side]) {
            open[side].drain(..len);
            frames.push(Frame { from_client: *from_client, payload });
        }
    }
    frames
}

/// The first whole frame and its length on the wire (RFC 6455, 5.2).
fn frame(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let second = *bytes.get(1)?;
    let (len, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())).unwrap(), 10),
        short => (usize::from(short), 2),
    };
    let mask = if second & 0x80 == 0 {
        [0; 4]
    } else {
        at += 4;
        bytes.get(at - 4..at)?.try_into().unwrap()
    };
    let payload = bytes.get(at..at + len)?.iter().enumerate().map(|(n, byte)| byte ^ mask[n % 4]).collect();
    Some((payload, at + len))
}

fn copy(mut from: TcpStream, mut to: TcpStream, from_client: bool, line: &Mutex<Line>) {
    let mut buf = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buf) {
        line.lock().unwrap().pieces.push((from_client, buf[..read].to_vec()));
        if to.write_all(&buf[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
