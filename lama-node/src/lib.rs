//! The API is in `api`, `config`, `error`, `node`; it is compiled as soon as the crates below are published.
