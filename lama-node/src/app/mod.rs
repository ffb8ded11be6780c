//! What applications ask for.

mod answer;
mod channels;
mod commands;
mod endpoint;
mod health;
mod invitations;
mod posting;
mod share;
mod shutdown;
mod status;

pub(crate) use answer::Answer;
pub use endpoint::last_url;
pub(crate) use posting::{POSTS, Posting};
pub(crate) use share::Wish;
pub(crate) use shutdown::Shutdown;
