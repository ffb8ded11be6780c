//! Behind relays: where nobody can dial, as in a browser, the instance is registered at some of a list of relays and is
//! rung there. The client machine of `lama-relay` decides; here its links and dials are told apart from the node's.

use bytes::{Bytes, BytesMut};
use lama_core::{Now, Seed, SortedMap, Ticket};
use lama_identity::SignSecret;
use lama_invite::Source;
use lama_node::{Input, LinkId, NodeError, Origin};
use lama_relay::{
    Client, ClientConfig, ClientInput, ClientOutput, HomeState, LinkId as RelayLink, RelayAddress,
};
use lama_store::{Engine, Read, Reply as Stored, Store, Write};

use crate::record::Relay;
use crate::{Event, Instance, Output, Problem, Reply};

/// The setting with the list, an address a line; and with what the names of the route keys begin, the relay's pin behind it.
/// The `lama` program keeps the same.
const LIST: &str = "relays";
const ROUTE_KEYS: &str = "relay/";
/// Where the numbers of dials to relays begin, far from the node's. A language whose numbers are doubles can still tell them.
const DIALS: u64 = 1 << 52;

/// A relay of the list, and the key of this instance there: drawn for it and used for nothing else.
struct Home {
    address: RelayAddress,
    key: SignSecret,
}

/// The relays, and what is under way there.
#[derive(Default)]
pub(crate) struct Behind {
    client: Option<Client>,
    homes: Vec<Home>,
    /// Another list takes the place of this one once its links are gone.
    next: Option<(Vec<Home>, Seed)>,
    dials: SortedMap<u64, Ticket>,
    dialled: u64,
    /// For the handshake that follows where somebody rings.
    seeds: SortedMap<LinkId, Seed>,
}

const fn relay_link(link: LinkId) -> RelayLink {
    RelayLink(link.0)
}

impl Behind {
    /// Whether the link is registered at a relay, or about to be, and no session yet.
    pub(crate) fn holds(&self, link: LinkId) -> bool {
        self.client.as_ref().is_some_and(|client| client.holds(relay_link(link)))
    }

    /// Whether the dial is one to a relay of the list.
    pub(crate) const fn is_dial(dial: u64) -> bool {
        dial >= DIALS
    }

    pub(crate) fn due(&self) -> Option<lama_core::Instant> {
        self.client.as_ref().and_then(Client::poll_timeout)
    }

    pub(crate) fn next_ready_link(&mut self) -> Option<LinkId> {
        self.client.as_mut()?.next_ready_link().map(|link| LinkId(link.0))
    }

    /// Routes that work now, best first, as they are advertised.
    pub(crate) fn routes(&self) -> Vec<String> {
        let homes = self.client.iter().filter(|_| self.next.is_none()).flat_map(Client::homes);
        homes.filter(|home| home.state == HomeState::Registered).map(|home| home.route.to_string()).collect()
    }

    fn start(&mut self, homes: Vec<Home>, seed: Seed, now: Now) {
        let list = homes.iter().map(|home| (home.address.clone(), *home.key.public())).collect();
        self.client = (!homes.is_empty()).then(|| Client::new(ClientConfig::default(), list, seed, now));
        self.homes = homes;
    }

    fn tell(&mut self, now: Now, input: ClientInput) {
        // Its errors are misuse by this file, and it goes on all the same.
        if let Some(client) = &mut self.client {
            let _ = client.handle(now, input);
        }
    }
}

impl<E: Engine> Instance<E> {
    /// Stands behind the relays that the store names.
    pub(crate) fn behind_kept(&mut self, seed: Seed) -> Result<(), Problem> {
        let store = self.store.as_mut().ok_or(NodeError::Stopped)?;
        let Stored::Setting(Some(kept)) = store.ask(Read::Setting(LIST.to_owned()))? else { return Ok(()) };
        let text = String::from_utf8_lossy(&kept).into_owned();
        let list: Vec<String> = text.lines().map(str::to_owned).collect();
        let homes = homes(store, &addresses(&list)?, &seed)?;
        self.behind.start(homes, seed, self.now);
        self.heed_relays();
        Ok(())
    }

    /// Another list, durable from now on.
    pub(crate) fn set_relays(&mut self, list: &[String], seed: Seed) -> Result<Reply, Problem> {
        let addresses = addresses(list)?;
        let store = self.store.as_mut().ok_or(NodeError::Stopped)?;
        let homes = homes(store, &addresses, &seed)?;
        let lines: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let value = (!lines.is_empty()).then(|| Bytes::from(lines.join("\n")));
        store.commit(vec![Write::Setting { key: LIST.to_owned(), value }])?;
        if self.behind.client.is_some() {
            self.behind.next = Some((homes, seed));
            self.behind.tell(self.now, ClientInput::Stop);
            self.advertise();
        } else {
            self.behind.start(homes, seed, self.now);
        }
        self.heed_relays();
        Ok(Reply::Done)
    }

    /// The list, and how it stands at each.
    pub(crate) fn relays(&self) -> Reply {
        let states = self.behind.client.iter().flat_map(Client::homes);
        let relays = self.behind.homes.iter().zip(states).map(|(home, now)| Relay {
            address: home.address.to_string(),
            state: match now.state {
                HomeState::Registered => "registered",
                HomeState::Connecting => "connecting",
                HomeState::Unneeded => "unneeded",
                _ => "waiting",
            },
            route: now.route.to_string(),
            links: now.links as u64,
            failures: now.failures,
        });
        Reply::Relays { relays: relays.collect() }
    }

    /// What waits is tried at once.
    pub(crate) fn retry_relays(&mut self) {
        self.behind.tell(self.now, ClientInput::Retry);
        self.heed_relays();
    }

    pub(crate) fn relay_up(&mut self, link: LinkId, dial: u64, exporter: Option<[u8; 32]>, seed: &Seed) {
        let Some(ticket) = self.behind.dials.remove(&dial) else {
            self.out.push_back(Output::Close { link: link.0 });
            return;
        };
        self.behind.seeds.insert(link, seed.child("LAMA/session"));
        let (link, seed) = (relay_link(link), seed.child("LAMA/relay"));
        self.behind.tell(self.now, ClientInput::LinkUp { ticket, link, exporter, seed });
        self.heed_relays();
    }

    pub(crate) fn relay_not_reached(&mut self, dial: u64) {
        if let Some(ticket) = self.behind.dials.remove(&dial) {
            self.behind.tell(self.now, ClientInput::DialFailed { ticket });
            self.heed_relays();
        }
    }

    pub(crate) fn relay_frame(&mut self, link: LinkId, bytes: &[u8]) {
        let frame = BytesMut::from(bytes);
        self.behind.tell(self.now, ClientInput::Frame { link: relay_link(link), frame });
        self.heed_relays();
    }

    pub(crate) fn relay_down(&mut self, link: LinkId) {
        self.behind.seeds.remove(&link);
        self.behind.tell(self.now, ClientInput::LinkDown { link: relay_link(link) });
        self.heed_relays();
    }

    pub(crate) fn relay_timeout(&mut self) {
        if let Some(client) = &mut self.behind.client {
            let _ = client.handle_timeout(self.now);
            self.heed_relays();
        }
    }

    /// With ACCEPT the link becomes the node's, whose frames come behind that.
    pub(crate) fn relay_frame_out(&mut self, link: LinkId) -> Option<Vec<u8>> {
        let frame = self.behind.client.as_mut()?.poll_frame(relay_link(link));
        self.heed_relays();
        frame.map(|frame| frame.to_vec())
    }

    fn heed_relays(&mut self) {
        while let Some(output) = self.behind.client.as_mut().and_then(Client::poll) {
            match output {
                ClientOutput::Dial { ticket, home } => self.dial_relay(ticket, home),
                ClientOutput::Sign { ticket, home, bytes } => {
                    let signature = self.behind.homes.get(home).map(|home| home.key.sign_input(&bytes));
                    self.behind.tell(self.now, ClientInput::Signed { ticket, signature });
                }
                ClientOutput::HandOver { link, home } => self.hand_over(LinkId(link.0), home),
                ClientOutput::Close { link } => self.out.push_back(Output::Close { link: link.0 }),
                ClientOutput::Registered { home } => {
                    let relay = self.relay_name(home);
                    self.out.push_back(Output::Event { event: Event::RelayRegistered { relay } });
                    self.advertise();
                }
                ClientOutput::Lost { home, why, pause } => {
                    let problem = why.map(|why| Problem::new(why.code(), why.to_string()));
                    let pause = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                    let relay = self.relay_name(home);
                    self.out.push_back(Output::Event { event: Event::RelayLost { relay, problem, pause } });
                    self.advertise();
                }
                ClientOutput::Shared { home, links } => {
                    let message = format!(
                        "{links} connections stand at {} under the key of this instance, more than it has: its key file was \
                         copied or restored and is in use elsewhere; revoke that instance",
                        self.relay_name(home)
                    );
                    let event = Event::Alarm { code: "relay-shared".to_owned(), message, person: None };
                    self.out.push_back(Output::Event { event });
                }
                ClientOutput::Stopped => {
                    self.behind.client = None;
                    self.behind.homes.clear();
                    if let Some((homes, seed)) = self.behind.next.take() {
                        self.behind.start(homes, seed, self.now);
                    }
                }
            }
        }
    }

    fn dial_relay(&mut self, ticket: Ticket, home: usize) {
        let Some(home) = self.behind.homes.get(home) else { return };
        let (dial, url) = (DIALS + self.behind.dialled, home.address.url.to_string());
        self.behind.dialled += 1;
        self.behind.dials.insert(dial, ticket);
        // Its user named this relay: it may be wherever he says.
        let (loopback, private) = (true, true);
        self.out.push_back(Output::Dial {
            dial,
            url,
            subprotocol: crate::instance::RELAY,
            loopback,
            private,
        });
    }

    fn hand_over(&mut self, link: LinkId, home: usize) {
        let homes = self.behind.client.as_ref().and_then(|client| client.homes().nth(home));
        let via = homes.and_then(|home| home.route.via);
        let (Some(via), Some(seed)) = (via, self.behind.seeds.remove(&link)) else { return };
        // All who call through one relay are one source, as they are one to the listener.
        let source = Source::new(via.route_id.first_chunk().copied().unwrap_or_default());
        let origin = Origin::Relayed { source, route: via.route_id };
        self.tell(self.now, Input::LinkUp { link, origin, seed });
    }

    fn relay_name(&self, home: usize) -> String {
        self.behind.homes.get(home).map(|home| home.address.to_string()).unwrap_or_default()
    }
}

fn addresses(list: &[String]) -> Result<Vec<RelayAddress>, Problem> {
    let mut found: Vec<RelayAddress> = Vec::new();
    for text in list {
        let address = RelayAddress::parse(text.trim())
            .map_err(|problem| Problem::new(problem.code(), problem.to_string()))?;
        // It has one key there: two registrations would take each other for a copy of this instance.
        if found.iter().any(|other| other.pin == address.pin) {
            return Err(Problem::argument("the relays", format_args!("{address} is named twice")));
        }
        found.push(address);
    }
    Ok(found)
}

fn homes<E: Engine>(
    store: &mut Store<E>,
    addresses: &[RelayAddress],
    seed: &Seed,
) -> Result<Vec<Home>, Problem> {
    let home =
        |address: &RelayAddress| Ok(Home { address: address.clone(), key: route_key(store, address, seed)? });
    addresses.iter().map(home).collect()
}

/// Drawn when a relay is named for the first time and kept, so that what contacts know goes on leading here.
fn route_key<E: Engine>(
    store: &mut Store<E>,
    address: &RelayAddress,
    seed: &Seed,
) -> Result<SignSecret, Problem> {
    let name: String =
        address.pin.iter().fold(ROUTE_KEYS.to_owned(), |name, byte| format!("{name}{byte:02x}"));
    if let Stored::Setting(Some(kept)) = store.ask(Read::Setting(name.clone()))? {
        let bytes: &[u8; 32] = kept.as_ref().try_into().map_err(|_| {
            Problem::new(
                "relay-route-key",
                format!("the key for {address} is damaged; restore the store from a backup"),
            )
        })?;
        return Ok(SignSecret::danger_from_bytes(bytes));
    }
    let key = SignSecret::from_seed(seed.child(&name));
    let value = Some(Bytes::copy_from_slice(key.danger_expose().as_slice()));
    // Durable before it is used.
    store.commit(vec![Write::Setting { key: name, value }])?;
    Ok(key)
}
