//! Where we listen: one signed version after the other, shared with all contacts.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use lama_identity::{
    Cid, MAX_URL, OneInstanceEndpoint, Reference, Signature, Signer, TypeTag, Unsigned, Versioned, cbor,
};
use lama_invite::ROUTE_SEPARATOR;
use lama_store::{Engine, Read, Reply as StoreReply, Store, StoreError, Write};

use crate::api::{Event, WhichKey};
use crate::hub::{ENDPOINT, Effect};
use crate::node::Node;

/// Where the instance of a store last said that it listens; `None`: nowhere, or never. For a host that wants to listen
/// there again: contacts that only dial look for it there.
///
/// # Errors
/// What the store says.
pub fn last_url<E: Engine>(store: &mut Store<E>) -> Result<Option<String>, StoreError> {
    let StoreReply::Settings(found) = store.ask(Read::Settings(ENDPOINT.into()))? else { return Ok(None) };
    let value = found.into_iter().find(|(key, _)| key == ENDPOINT);
    let decoded = value.and_then(|(_, value)| cbor::decode::<(Reference, String)>(&value).ok());
    let direct = |url: String| {
        let mut routes = url.split(ROUTE_SEPARATOR);
        routes.find(|route| !route.is_empty() && !route.contains('#')).map(String::from)
    };
    Ok(decoded.and_then(|(_, url)| direct(url)))
}

impl Node {
    /// What is kept of the newest version.
    pub(crate) fn endpoint_loaded(&mut self, bytes: &[u8]) {
        if let Ok((id, url)) = cbor::decode::<(Reference, String)>(bytes) {
            self.endpoint = Some(id.0);
            self.endpoint_url = Some(url);
        }
    }

    /// [`crate::Input::Listening`].
    pub(crate) fn listening(&mut self, urls: Vec<String>) {
        self.listening = urls;
        self.publish();
    }

    /// All routes in one line, best first, as far as they fit.
    pub(crate) fn announced(&self) -> String {
        let mut all = String::new();
        for route in &self.listening {
            let len = all.len() + usize::from(!all.is_empty()) + route.len();
            if len > MAX_URL {
                break;
            }
            if !all.is_empty() {
                all.push(ROUTE_SEPARATOR);
            }
            all.push_str(route);
        }
        all
    }

    /// Makes a version of where we listen, unless the newest says so already; one at a time.
    fn publish(&mut self) {
        let url = self.announced();
        if self.endpoint_busy {
            return;
        }
        if self.endpoint_url.as_ref() == Some(&url) {
            let urls = self.listening.clone();
            return self.event(Event::Listening { urls });
        }
        let wall = self.clock.latest().wall;
        let public = &self.identity.public;
        let Ok(data) = public.endpoint(&url) else { return };
        let version: Versioned<OneInstanceEndpoint> = Versioned {
            by: Signer::Instance,
            of: Reference(public.instance_id().cid()),
            sig: None,
            data,
            clock: self.hlc.tick(wall),
            type_tag: TypeTag::default(),
            author: public.person_id(),
            parents: self.endpoint.map(Reference).into_iter().collect(),
            instance: public.instance_id(),
        };
        if let Ok(unsigned) = Unsigned::new(version)
            && let Ok(bytes) = unsigned.input()
        {
            self.endpoint_busy = true;
            self.sign(WhichKey::Instance, bytes, Effect::Endpoint { unsigned: Box::new(unsigned) });
        }
    }

    /// The version is signed: store it and share it with all contacts.
    pub(crate) fn endpoint_signed(
        &mut self,
        unsigned: Unsigned<Versioned<OneInstanceEndpoint>>,
        signature: Option<Signature>,
    ) {
        let signed = signature.and_then(|signature| unsigned.attach(signature).ok());
        let Some(signed) = signed else {
            self.endpoint_busy = false;
            return;
        };
        let (id, url) = (signed.cid(), signed.value().data.url.clone());
        let object = (id, signed.bytes().clone());
        let value = cbor::encode(&(Reference(id), &url)).ok();
        let writes = alloc::vec![
            Write::Put { objects: alloc::vec![object] },
            Write::Share { ids: alloc::vec![id], persons: self.book.active() },
            Write::Setting { key: ENDPOINT.into(), value },
        ];
        self.commit(writes, Effect::EndpointStored { id, url });
    }

    /// It is durable.
    pub(crate) fn endpoint_stored(
        &mut self,
        id: Cid,
        url: String,
        result: Option<Result<StoreReply, StoreError>>,
    ) {
        self.endpoint_busy = false;
        match result {
            Some(Ok(StoreReply::Committed(committed))) => {
                self.endpoint = Some(id);
                self.endpoint_url = Some(url);
                self.committed(&committed, None);
                self.publish();
            }
            Some(Err(error)) => self.store_failed("publishing where we listen", error),
            _ => {}
        }
    }
}
