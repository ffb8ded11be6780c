//! One link in the loop: whose turn it is, and what is done in a turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use lama_core::Instant;
use lama_node::{Input, LinkCause, LinkId, Node, NodeError};

use crate::gate::{Permit, Step};
use crate::link::{Link, MAX_MESSAGE};
use crate::runtime::Runtime;
use crate::wake::LinkWaker;

/// Frames out, and frames in, in one turn.
const FRAMES: usize = 16;
/// The longest frame before a peer has proved a key.
const HANDSHAKE: usize = 256;

/// How a turn ended.
pub(crate) enum Turn {
    /// There is more to do.
    Again,
    /// The socket's or the node's wake-up comes first.
    Waits,
    /// The node takes no frame until the store has answered.
    Paused,
    /// The link is down.
    Down(LinkCause),
    /// The node ended.
    Ended(NodeError),
}

/// How far sending came.
enum Sent {
    /// The node has nothing more.
    All,
    /// It may have more, and there is room for it.
    More,
    /// The link has no room.
    Blocked,
}

enum Stage {
    Open,
    /// What the node still has is sent, then the WebSocket is closed.
    Sending {
        until: Instant,
    },
    /// Waiting for the other end to close too.
    Lingering {
        until: Instant,
    },
}

/// A link with its place in the loop.
pub(crate) struct Peer<R: Runtime> {
    link: Link<R>,
    waker: Waker,
    flag: Arc<LinkWaker>,
    queued: bool,
    stage: Stage,
    /// Of a stranger; until both persons are authenticated.
    permit: Option<Permit>,
}

impl<R: Runtime> Peer<R> {
    pub(crate) fn new(link: Link<R>, (waker, flag): (Waker, Arc<LinkWaker>), permit: Option<Permit>) -> Self {
        if let Some(permit) = &permit {
            permit.watch(&waker);
        }
        Self { link, waker, flag, queued: false, stage: Stage::Open, permit }
    }

    /// Whether its place at the door went to somebody newer.
    pub(crate) fn is_put_out(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_put_out)
    }

    /// Both persons are authenticated: no limit for strangers counts it any more.
    pub(crate) fn authenticated(&mut self, now: Instant) {
        if let Some(permit) = self.permit.take() {
            permit.authenticated(now);
        }
    }

    /// What there is to be seen of how far a stranger has come.
    fn came(&mut self, step: Step, now: Instant) {
        if let Some(permit) = &mut self.permit {
            permit.came(step, now);
        }
    }

    /// Gives the link a turn, if it has none yet.
    pub(crate) fn queue(&mut self, turn: &mut VecDeque<LinkId>) {
        if !self.queued {
            self.queued = true;
            turn.push_back(self.flag.link());
        }
    }

    pub(crate) fn dequeued(&mut self) {
        self.queued = false;
    }

    /// The wake-up was seen; the next one counts again.
    pub(crate) fn woken(&self) {
        self.flag.clear();
    }

    /// Begins to close; `until` is when it ends at the latest. `None`: it is closing already.
    pub(crate) fn close(&mut self, until: Instant) -> Option<Instant> {
        matches!(self.stage, Stage::Open).then(|| {
            self.stage = Stage::Sending { until };
            until
        })
    }

    pub(crate) const fn closes_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => None,
            Stage::Sending { until } | Stage::Lingering { until } => Some(until),
        }
    }

    /// One turn: some frames out, some in; neither waits for the other. `frame` is scratch space.
    pub(crate) fn serve(&mut self, id: LinkId, node: &mut Node, runtime: &R, frame: &mut BytesMut) -> Turn {
        let waker = self.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        let result = match self.stage {
            Stage::Open => self.work(cx, id, node, runtime, frame),
            Stage::Sending { until } => self.say_goodbye(cx, id, node, runtime, frame, until),
            Stage::Lingering { .. } => Ok(self.linger(cx)),
        };
        result.unwrap_or_else(Turn::Down)
    }

    fn work(
        &mut self,
        cx: &mut Context<'_>,
        id: LinkId,
        node: &mut Node,
        runtime: &R,
        frame: &mut BytesMut,
    ) -> Result<Turn, LinkCause> {
        let more_out = matches!(self.send(cx, id, node, runtime, frame)?, Sent::More);
        let mut turn = if more_out { Turn::Again } else { Turn::Waits };
        for taken in 0.. {
            if taken == FRAMES {
                turn = Turn::Again;
                break;
            }
            if !node.wants_input(id) {
                // What is to be sent has its own wake-ups; `Again` would only ask the same question again.
                turn = if more_out { Turn::Again } else { Turn::Paused };
                break;
            }
            let limit = node.frame_limit(id);
            if limit > HANDSHAKE && limit < MAX_MESSAGE {
                self.came(Step::Proved, runtime.now().mono);
            }
            match self.link.poll_recv(cx, limit) {
                Poll::Ready(Ok(frame)) => {
                    if let Err(error) = node.handle(runtime.now(), Input::Frame { link: id, frame }) {
                        return Ok(Turn::Ended(error));
                    }
                    // What a frame asked for locally is not kept waiting by those behind it.
                    if node.has_output() {
                        turn = Turn::Again;
                        break;
                    }
                }
                Poll::Ready(Err(cause)) => return Err(cause),
                Poll::Pending => break,
            }
        }
        Ok(turn)
    }

    /// Sends frames while there are some and the link has room; flushes when there are none.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        id: LinkId,
        node: &mut Node,
        runtime: &R,
        frame: &mut BytesMut,
    ) -> Result<Sent, LinkCause> {
        for _ in 0..FRAMES {
            match self.link.poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(Sent::Blocked),
            }
            if !node.poll_frame(id, frame) {
                if !self.link.is_unflushed() {
                    return Ok(Sent::All);
                }
                return match self.link.poll_flush(cx) {
                    Poll::Ready(flushed) => flushed.map(|()| Sent::All),
                    Poll::Pending => Ok(Sent::Blocked),
                };
            }
            self.link.send(frame.split().freeze())?;
            if self.permit.is_some() {
                // Nothing is said to a stranger before his first message was right.
                self.came(Step::Answered, runtime.now().mono);
            }
        }
        Ok(Sent::More)
    }

    fn say_goodbye(
        &mut self,
        cx: &mut Context<'_>,
        id: LinkId,
        node: &mut Node,
        runtime: &R,
        frame: &mut BytesMut,
        until: Instant,
    ) -> Result<Turn, LinkCause> {
        match self.send(cx, id, node, runtime, frame)? {
            Sent::More => return Ok(Turn::Again),
            Sent::Blocked => return Ok(Turn::Waits),
            Sent::All => {}
        }
        match self.link.poll_close(cx) {
            Poll::Ready(closed) => closed?,
            Poll::Pending => return Ok(Turn::Waits),
        }
        self.stage = Stage::Lingering { until };
        Ok(self.linger(cx))
    }

    fn linger(&mut self, cx: &mut Context<'_>) -> Turn {
        match self.link.poll_drained(cx) {
            Poll::Ready(()) => Turn::Down(LinkCause::Local),
            Poll::Pending => Turn::Waits,
        }
    }
}
