//! A TCP proxy on loopback that remembers what the server said, and that can be far away.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Forwards every connection, until the test ends.
pub struct Proxy {
    answers: Arc<Mutex<Vec<Answer>>>,
}

/// What the server said on one connection.
struct Answer {
    bytes: Vec<u8>,
    /// When its first bytes reached the client.
    first: Option<Instant>,
    over: bool,
}

impl Proxy {
    pub fn start(listen: u16, server: u16) -> Self {
        Self::far_away(listen, server, Duration::ZERO)
    }

    /// With so much delay in each direction.
    pub fn far_away(listen: u16, server: u16, delay: Duration) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", listen)).unwrap();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&answers);
        thread::spawn(move || {
            for client in socket.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let index = {
                    let mut answers = shared.lock().unwrap();
                    answers.push(Answer { bytes: Vec::new(), first: None, over: false });
                    answers.len() - 1
                };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || copy(from, to, delay, |_| {}));
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let seen = Arc::clone(&shared);
                    copy(server, client, delay, move |bytes| {
                        let answer = &mut seen.lock().unwrap()[index];
                        answer.bytes.extend_from_slice(bytes);
                        answer.first.get_or_insert_with(Instant::now);
                    });
                    shared.lock().unwrap()[index].over = true;
                });
            }
        });
        Self { answers }
    }

    /// When the last connection got its first bytes from the server: the answer to the upgrade.
    pub fn opened(&self) -> Instant {
        self.answers.lock().unwrap().iter().rev().find_map(|answer| answer.first).unwrap()
    }

    /// All that the server said on the first connection, once that is over.
    pub fn first_answer(&self) -> Vec<u8> {
        let deadline = Instant::now() + super::PATIENCE;
        loop {
            if let Some(Answer { bytes, over: true, .. }) = self.answers.lock().unwrap().first() {
                return bytes.clone();
            }
            assert!(Instant::now() < deadline, "no connection ended");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Reading never waits for the delay, or a window of bytes would be one round trip each.
fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: Duration,
    mut see: impl FnMut(&[u8]) + Send + 'static,
) {
    let (put, take) = mpsc::channel::<(Instant, Vec<u8>)>();
    let writer = thread::spawn(move || {
        for (due, bytes) in take {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            see(&bytes);
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buf = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buf) {
        if put.send((Instant::now() + delay, buf[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(put);
    let _ = writer.join();
}
