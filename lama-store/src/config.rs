//! The limits of a store, all finite.

/// Bounds of a store. Part of no protocol: each store may have its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Objects of one person that may be set aside at a time. Default 10,000.
    pub max_aside_objects: u64,
    /// Bytes of one person's objects set aside. Default 64 MiB.
    pub max_aside_bytes: u64,
    /// Bytes of objects kept for one person (set aside or not). What comes beyond is refused. Default 1 TiB.
    pub max_person_bytes: u64,
    /// Objects kept for one person. What comes beyond is refused. Default 100 million.
    pub max_person_objects: u64,
    /// Bytes that one person may bring in one hour of the wall clock. What comes beyond is refused. Default 1 TiB.
    pub max_person_bytes_per_hour: u64,
    /// Objects of one person that may ever be refused: each still takes an entry in his view. Whoever goes on beyond
    /// breaks the session. Default 1 million.
    pub max_person_refused: u64,
    /// Versions of one thing that are merged; more of them have no effect. Default 512.
    pub max_versions: usize,
    /// Entries that one read of a channel or a view returns at most. Default 10,000.
    pub max_page_entries: usize,
    /// Entries of other lanes that one [`Read::Page`](crate::Read::Page) passes over at most. Default 16,384.
    pub max_page_walk: usize,
    /// Object bytes that one [`Read::Page`](crate::Read::Page) returns at most. Default 8 MiB.
    pub max_page_bytes: usize,
    /// Objects that the closure of one share may visit. Default 10,000,000.
    pub max_closure: usize,
    /// Index entries held in memory before they go into segments on disk (about 100 bytes each). A larger number makes
    /// writes cheaper, and opening dearer. Default 131,072.
    pub recent_entries: usize,
    /// Bytes of objects after which a group of commits is made durable, though more are waiting. Default 32 MiB.
    pub max_group_bytes: usize,
    /// Longest view, in entries, whose fingerprint and sketch opening may compare with its log. Default 100,000.
    pub sample_entries: u64,
    /// Whether a store that was not closed cleanly takes a new epoch (`sync.md`, Views). Default `true`. A host
    /// which never sends what is not durable yet may say `false`.
    pub new_epoch_after_crash: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_aside_objects: 10_000,
            max_aside_bytes: 64 << 20,
            max_person_bytes: 1 << 40,
            max_person_objects: 100_000_000,
            max_person_bytes_per_hour: 1 << 40,
            max_person_refused: 1_000_000,
            max_versions: 512,
            max_page_entries: 10_000,
            max_page_walk: 16_384,
            max_page_bytes: 8 << 20,
            max_closure: 10_000_000,
            recent_entries: 131_072,
            max_group_bytes: 32 << 20,
            sample_entries: 100_000,
            new_epoch_after_crash: true,
        }
    }
}
