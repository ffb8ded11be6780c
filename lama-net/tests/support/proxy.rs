//! A TCP proxy on loopback that remembers what the server said.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Forwards every connection, until the test ends.
pub struct Proxy {
    /// What the server said on each connection, and whether that connection is over.
    answers: Arc<Mutex<Vec<(Vec<u8>, bool)>>>,
}

impl Proxy {
    pub fn start(listen: u16, server: u16) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", listen)).unwrap();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&answers);
        thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let index = {
                    let mut answers = shared.lock().unwrap();
                    answers.push((Vec::new(), false));
                    answers.len() - 1
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || copy(from, to, |_| {}));
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    copy(server, client, |bytes| shared.lock().unwrap()[index].0.extend_from_slice(bytes));
                    shared.lock().unwrap()[index].1 = true;
                });
            }
        });
        Self { answers }
    }

    /// All that the server said on the first connection, once that is over.
    pub fn first_answer(&self) -> Vec<u8> {
        let deadline = Instant::now() + super::PATIENCE;
        loop {
            if let Some((answer, true)) = self.answers.lock().unwrap().first() {
                return answer.clone();
            }
            assert!(Instant::now() < deadline, "no connection ended");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buf = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buf) {
        see(&buf[..read]);
        if to.write_all(&buf[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
