//! What a listing gives: objects, common prefixes and where to go on.

/// One key of a bucket as a listing or a HEAD shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag without the quotes.
    pub etag: Option<String>,
    /// When it was last modified: RFC 3339 in a listing, an HTTP date from a HEAD.
    pub last_modified: Option<String>,
}

/// One page of a listing, at most 1,000 entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The objects in the store's order.
    pub objects: Vec<ObjectInfo>,
    /// With a delimiter: the prefixes up to it below which there is more.
    pub prefixes: Vec<String>,
    /// The token with which the next page is asked for; `None` on the last.
    pub next: Option<String>,
}
