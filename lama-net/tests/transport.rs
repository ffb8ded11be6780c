//! Links over real sockets, without a node: both runtimes and mixed.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lama_invite::DialRules;
use lama_net::{Dialer, Link, MAX_MESSAGE, Runtime, dial};
use lama_node::{DialError, LinkCause};
use support::{Host, accept_one, aside, bind};

const SOON: Duration = Duration::from_secs(10);

async fn send<R: Runtime>(link: &mut Link<R>, message: Bytes) -> Result<(), LinkCause> {
    poll_fn(|cx| link.poll_ready(cx)).await?;
    link.send(message)?;
    poll_fn(|cx| link.poll_flush(cx)).await
}

async fn recv<R: Runtime>(link: &mut Link<R>, limit: usize) -> Result<BytesMut, LinkCause> {
    poll_fn(|cx| link.poll_recv(cx, limit)).await
}

/// Runs `server` on an accepted link and `client` on a dialled one.
fn pair<A: Host, B: Host, T, FutA, FutB>(
    server: impl FnOnce(Link<A::R>) -> FutA + Send + 'static,
    client: impl FnOnce(Link<B::R>) -> FutB,
) -> T
where
    FutA: Future<Output = T>,
    FutB: Future<Output = ()>,
    T: Send + 'static,
{
    let (socket, url) = bind();
    let serving = aside(move || {
        A::block_on(async {
            let link = accept_one(&A::runtime(), socket).await;
            server(link).await
        })
    });
    B::block_on(async {
        let link = dial(&B::runtime(), &Dialer::default(), &url, DialRules::default(), SOON).await.unwrap();
        client(link).await;
    });
    serving.join().unwrap()
}

fn pattern(len: usize, n: usize) -> Bytes {
    (0..len).map(|at| (at * 31 + n) as u8).collect::<Vec<_>>().into()
}

/// Small frames under a small limit, then large ones: over the border where the link takes large buffers.
fn messages_arrive_as_they_were_sent_while_limits_grow<A: Host, B: Host>() {
    const SIZES: [usize; 9] = [0, 1, 68, 125, 126, 4112, 65_519, 65_535, 16];
    let limits = |n: usize| {
        if n < 5 {
            256
        } else if n == 5 {
            4300
        } else {
            MAX_MESSAGE
        }
    };
    pair::<A, B, _, _, _>(
        move |mut link| async move {
            for n in 0..SIZES.len() * 20 {
                let (size, n) = (SIZES[n % SIZES.len()], n);
                let limit = if n < SIZES.len() { limits(n) } else { MAX_MESSAGE };
                let message = recv(&mut link, limit).await.unwrap();
                assert_eq!(message, pattern(size, n), "message {n}");
                send(&mut link, message.freeze()).await.unwrap();
            }
            assert_eq!(recv(&mut link, MAX_MESSAGE).await, Err(LinkCause::Closed));
        },
        move |mut link| async move {
            for n in 0..SIZES.len() * 20 {
                let message = pattern(SIZES[n % SIZES.len()], n);
                send(&mut link, message.clone()).await.unwrap();
                assert_eq!(recv(&mut link, MAX_MESSAGE).await.unwrap(), message, "echo {n}");
            }
            poll_fn(|cx| link.poll_close(cx)).await.unwrap();
            poll_fn(|cx| link.poll_drained(cx)).await;
        },
    );
}

/// The handshake's third message and the record after it leave in one flight, though their limits differ.
fn two_frames_of_one_flight_meet_two_limits<A: Host, B: Host>() {
    pair::<A, B, _, _, _>(
        |mut link| async move {
            assert_eq!(recv(&mut link, 256).await.unwrap().len(), 64);
            assert_eq!(recv(&mut link, 4300).await.unwrap().len(), 4112);
        },
        |mut link| async move {
            poll_fn(|cx| link.poll_ready(cx)).await.unwrap();
            link.send(pattern(64, 0)).unwrap();
            poll_fn(|cx| link.poll_ready(cx)).await.unwrap();
            link.send(pattern(4112, 0)).unwrap();
            poll_fn(|cx| link.poll_flush(cx)).await.unwrap();
        },
    );
}

fn a_frame_above_the_limit_ends_the_link<A: Host, B: Host>() {
    let cause = pair::<A, B, _, _, _>(
        |mut link| async move { recv(&mut link, 256).await.unwrap_err() },
        |mut link| async move {
            send(&mut link, pattern(257, 0)).await.unwrap();
            assert!(recv(&mut link, MAX_MESSAGE).await.is_err());
        },
    );
    assert_eq!(cause, LinkCause::Violation);
}

fn a_connection_that_breaks_is_lost_and_not_closed<A: Host, B: Host>() {
    let cause = pair::<A, B, _, _, _>(
        |mut link| async move {
            recv(&mut link, 256).await.unwrap();
            recv(&mut link, 256).await.unwrap_err()
        },
        |mut link| async move {
            send(&mut link, pattern(5, 0)).await.unwrap();
            drop(link);
        },
    );
    assert_eq!(cause, LinkCause::Lost);
}

/// Neither side reads while it writes more than all buffers hold: the write waits, in bounded memory, and reading
/// goes on. One queue for both directions would stop here for ever.
fn both_ends_write_at_once_without_standing_still<A: Host, B: Host>() {
    const MESSAGES: usize = 400;
    async fn both_ways<R: Runtime>(mut link: Link<R>) {
        let (mut sent, mut received) = (0, 0);
        poll_fn(|cx| {
            while sent < MESSAGES && link.poll_ready(cx).is_ready() {
                link.send(pattern(65_000, sent)).unwrap();
                sent += 1;
            }
            let flushed = link.poll_flush(cx).is_ready();
            while received < MESSAGES
                && let Poll::Ready(message) = link.poll_recv(cx, MAX_MESSAGE)
            {
                assert_eq!(message.unwrap(), pattern(65_000, received));
                received += 1;
            }
            if sent == MESSAGES && received == MESSAGES && flushed { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        poll_fn(|cx| link.poll_close(cx)).await.ok();
        poll_fn(|cx| link.poll_drained(cx)).await;
    }
    pair::<A, B, _, _, _>(both_ways, both_ways);
}

fn a_dial_says_why_nobody_was_reached<A: Host, B: Host>() {
    let try_dial = |url: String| {
        B::block_on(async move {
            dial(&B::runtime(), &Dialer::default(), &url, DialRules::default(), SOON)
                .await
                .map(drop)
                .unwrap_err()
        })
    };
    let (socket, url) = bind();
    drop(socket);
    assert_eq!(try_dial(url), DialError::Refused);
    assert_eq!(try_dial("ws://10.1.2.3:1".into()), DialError::NotAllowed);
    assert_eq!(try_dial("wss://localhost:1".into()), DialError::Refused);
    // Something that speaks, but not this.
    let (socket, url) = bind();
    socket.set_nonblocking(false).unwrap();
    let other = aside(move || {
        use std::io::Write as _;
        let (mut stream, _) = socket.accept().unwrap();
        stream.write_all(b"SSH-2.0-other\r\n\r\n").unwrap();
        stream
    });
    assert_eq!(try_dial(url), DialError::NotLama);
    drop(other.join());
    // Something that says nothing at all.
    let (_socket, url) = bind();
    let waited = B::block_on(async move {
        dial(&B::runtime(), &Dialer::default(), &url, DialRules::default(), Duration::from_millis(300))
            .await
            .map(drop)
    });
    assert_eq!(waited, Err(DialError::Timeout));
}

fn localhost_is_this_machine<A: Host, B: Host>() {
    let (socket, url) = bind();
    let url = url.replace("127.0.0.1", "localhost");
    let serving = aside(move || A::block_on(async { drop(accept_one(&A::runtime(), socket).await) }));
    B::block_on(async {
        drop(dial(&B::runtime(), &Dialer::default(), &url, DialRules::default(), SOON).await.unwrap())
    });
    serving.join().unwrap();
}

on_both_and_mixed!(
    messages_arrive_as_they_were_sent_while_limits_grow,
    two_frames_of_one_flight_meet_two_limits,
    a_frame_above_the_limit_ends_the_link,
    a_connection_that_breaks_is_lost_and_not_closed,
    both_ends_write_at_once_without_standing_still,
    a_dial_says_why_nobody_was_reached,
    localhost_is_this_machine,
);
