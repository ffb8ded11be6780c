//! What an idle route costs, counted by the allocator: `security.md` promises less than 1 KiB.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use lama_core::{Instant, Now, WallTime};
use lama_invite::Source;
use lama_relay::wire::{FromClient, FromRelay, Register};
use lama_relay::{Binding, Config, LinkId, Server, ServerInput, ServerOutput, register_input};
use support::{key, relay_key, seed};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is; only a counter stands beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ROUTES: u64 = 500;

/// Registers one route over one link, as a host does.
fn register(server: &mut Server, now: Now, number: u64) {
    let (link, route) = (LinkId(number), key(number));
    let mut source = [0; 16];
    source[..8].copy_from_slice(&number.to_be_bytes());
    let input = ServerInput::LinkUp {
        link,
        source: Source::new(source),
        host: "relay.example".into(),
        exporter: None,
        seed: seed(number),
    };
    server.handle(now, input).unwrap();
    let Ok(FromRelay::Hello(hello)) = FromRelay::read(&server.poll_frame(link).unwrap()) else { panic!() };
    let binding = Binding { hello: &hello, host: "relay.example", exporter: &[0; 32] };
    let (route_key, nonce, exp) = (*route.public().as_bytes(), [0; 32], now.wall.unix_seconds() + 60);
    let signature = route.sign_input(&register_input(&binding, &route_key, &nonce, exp));
    let register = Register { route_key, nonce, exp, signature };
    let frame = FromClient::Register(register).to_bytes().as_ref().into();
    server.handle(now, ServerInput::Frame { link, frame }).unwrap();
    let Some(ServerOutput::Sign { ticket, bytes }) = server.poll() else { panic!() };
    let signature = Some(relay_key().sign_input(&bytes));
    server.handle(now, ServerInput::Signed { ticket, signature }).unwrap();
    while server.poll_frame(link).is_some() {}
    while server.next_ready_link().is_some() {}
}

#[test]
fn an_idle_route_costs_less_than_a_kibibyte_and_nothing_after_it_has_gone() {
    let config = Config::default();
    let registers = config.registers_per_source.interval;
    let mut server = Server::new(config, *relay_key().public(), &["relay.example"]);
    let now = Now { mono: Instant::ORIGIN, wall: WallTime(support::WALL * 1000) };
    let before = HELD.load(Ordering::Relaxed);
    for number in 0..ROUTES {
        register(&mut server, now, number);
    }
    assert_eq!(server.stats().routes, ROUTES as usize);
    let each = (HELD.load(Ordering::Relaxed) - before) / ROUTES as usize;
    println!("{each} bytes an idle route with one connection, each from its own address block");
    assert!(each < 1024, "{each}");
    // What the registrations cost their address blocks is paid back a second later.
    let later = Now { mono: now.mono + registers, ..now };
    for number in 0..ROUTES {
        server.handle(later, ServerInput::LinkDown { link: LinkId(number) }).unwrap();
    }
    let left = HELD.load(Ordering::Relaxed).saturating_sub(before);
    // The empty maps keep a node each.
    assert!(left < 8192, "{left} bytes are left");
}
