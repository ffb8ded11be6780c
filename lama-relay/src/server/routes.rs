//! Who is registered, and what each route and each address block has used of its limits.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use lama_core::Instant;
use lama_invite::Source;

use crate::bucket::Bucket;
use crate::{Config, LinkId, RouteId};

/// A route. It stands while it has connections, calls, or something to pay back.
#[derive(Debug)]
pub(super) struct Route {
    /// Who registered it first: whose number of routes it counts in.
    pub(super) source: Source,
    /// Registered connections, free or rung.
    pub(super) links: Vec<LinkId>,
    /// Callers for whom no connection was free, in the order in which they came.
    pub(super) pending: VecDeque<LinkId>,
    /// Calls that are spliced.
    pub(super) splices: u32,
    pub(super) rings: Bucket,
    pub(super) bytes: Bucket,
}

#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) routes: usize,
    pub(super) rings: Bucket,
    pub(super) registers: Bucket,
}

/// All routes and address blocks.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) by_id: BTreeMap<RouteId, Route>,
    blocks: BTreeMap<Source, Block>,
}

impl Routes {
    /// What is counted of an address block; `None`: too many are remembered.
    pub(super) fn block(&mut self, source: Source, config: &Config, now: Instant) -> Option<&mut Block> {
        if self.blocks.len() >= config.sources && !self.blocks.contains_key(&source) {
            self.blocks.retain(|_, block| {
                block.routes > 0 || block.rings.paid() > now || block.registers.paid() > now
            });
            if self.blocks.len() >= config.sources {
                return None;
            }
        }
        Some(self.blocks.entry(source).or_default())
    }

    /// The route, made if it is new and there is room for it.
    pub(super) fn open(
        &mut self,
        id: RouteId,
        source: Source,
        config: &Config,
        now: Instant,
    ) -> Option<&mut Route> {
        if !self.by_id.contains_key(&id) {
            if self.by_id.len() >= config.routes {
                return None;
            }
            let block = self.block(source, config, now)?;
            if block.routes >= config.routes_per_source {
                return None;
            }
            block.routes += 1;
            let route = Route {
                source,
                links: Vec::new(),
                pending: VecDeque::new(),
                splices: 0,
                rings: Bucket::default(),
                bytes: Bucket::default(),
            };
            self.by_id.insert(id, route);
        }
        self.by_id.get_mut(&id)
    }

    /// Forgets a route that nobody uses. One that still has to pay back is kept until the time returned: else leaving
    /// and coming back would be a way around the limits.
    pub(super) fn leave(&mut self, id: RouteId, now: Instant) -> Option<Instant> {
        let route = self.by_id.get(&id)?;
        if !route.links.is_empty() || !route.pending.is_empty() || route.splices > 0 {
            return None;
        }
        let paid = route.rings.paid().max(route.bytes.paid());
        if paid > now {
            return Some(paid);
        }
        let source = route.source;
        self.by_id.remove(&id);
        if let Some(block) = self.blocks.get_mut(&source) {
            block.routes = block.routes.saturating_sub(1);
            if block.routes == 0 && block.rings.paid() <= now && block.registers.paid() <= now {
                self.blocks.remove(&source);
            }
        }
        None
    }
}
