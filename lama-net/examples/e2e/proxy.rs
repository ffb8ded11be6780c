//! A TCP proxy on loopback that delays what goes through it, without a limit of bandwidth.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Forwards from `listen` to `server`, with so much delay in each direction.
pub(crate) fn start(listen: u16, server: u16, delay: Duration) {
    let socket = TcpListener::bind(("127.0.0.1", listen)).unwrap();
    thread::spawn(move || {
        for client in socket.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || copy(from, to, delay));
            thread::spawn(move || copy(server, client, delay));
        }
    });
}

/// Reading never waits for the delay.
fn copy(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (put, take) = mpsc::channel::<(Instant, Vec<u8>)>();
    let writer = thread::spawn(move || {
        for (due, bytes) in take {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buf = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buf) {
        if put.send((Instant::now() + delay, buf[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(put);
    let _ = writer.join();
}
