//! Which links can go on: each has a waker of its own that puts its name on one list and wakes the loop. So a pass
//! costs what has happened, not what is connected.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;
use lama_node::LinkId;

/// The list, shared with the wakers.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    links: Mutex<Vec<LinkId>>,
    main: AtomicWaker,
}

impl Woken {
    /// Wakes the loop's task from now on.
    pub(crate) fn register(&self, waker: &Waker) {
        self.main.register(waker);
    }

    /// A waker for one link, and the flag that the loop clears before it looks at the link.
    pub(crate) fn waker(self: &Arc<Self>, link: LinkId) -> (Waker, Arc<LinkWaker>) {
        let own = Arc::new(LinkWaker { link, listed: AtomicBool::new(false), woken: Arc::clone(self) });
        (Waker::from(Arc::clone(&own)), own)
    }

    /// Moves the names into `into`.
    pub(crate) fn take(&self, into: &mut Vec<LinkId>) {
        into.append(&mut self.links.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Of one link.
#[derive(Debug)]
pub(crate) struct LinkWaker {
    link: LinkId,
    listed: AtomicBool,
    woken: Arc<Woken>,
}

impl LinkWaker {
    pub(crate) const fn link(&self) -> LinkId {
        self.link
    }

    /// From here on the next wake-up is listed again.
    pub(crate) fn clear(&self) {
        self.listed.store(false, Ordering::Release);
    }
}

impl Wake for LinkWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.woken.links.lock().unwrap_or_else(PoisonError::into_inner).push(self.link);
            self.woken.main.wake();
        }
    }
}
