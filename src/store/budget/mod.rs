//! What an endpoint allows, kept by all runs of this user on the machine together.
//!
//! A [`Budget`] stands on words in a named shared segment, one for each endpoint; each claim is
//! one compare-and-swap, so no death can hold a lock, and what a dead process held is taken back
//! by the next one that finds nothing free. Where the segment cannot be had, [`Budget::alone`]
//! keeps the limits for this process.
//!
//! Each budget that was opened is a party of its own, so that a process's listing gets its turn
//! beside the process's downloads. Parties share connections evenly: who finds none free says so,
//! and who holds more gives one back after its part. Runs with different profiles each keep to their own, and together to the
//! largest of them.

mod ground;
mod month;
mod rate;
#[cfg(test)]
mod tests;
mod view;

use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::endpoint::EndpointProfile;
use super::{StoreConfig, StoreError, state};
use crate::sys::clock::now_ns;
use crate::sys::sync::{AtomicU64, Ordering};
use crate::sys::words::{Words, WordsError};
use ground::{COUNT, Ground, MOST_PARTIES, Who};
use month::Month;
use rate::RequestRate;
pub use view::{Endpoint, EndpointUse};

const SECOND: u64 = 1_000_000_000;
/// How often a process looks who else is there.
const LOOK: u64 = SECOND / 4;
/// How often the shares of the dead are looked for while nobody misses them.
const SWEEP: u64 = 5 * SECOND;
/// For how long a process keeps its only connection when there are more processes than
/// connections.
const TURN: u64 = 2 * SECOND;

/// Why a budget cannot be shared with other runs.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The segment cannot be used.
    #[error("the budget of {endpoint} cannot be shared with other runs: {source}")]
    Segment {
        /// The endpoint, host and port.
        endpoint: String,
        /// Why not.
        source: WordsError,
    },
    /// Too many use this endpoint.
    #[error(
        "the budget of {endpoint} cannot be shared with other runs: {MOST_PARTIES} others use it already; end some of them"
    )]
    Full {
        /// The endpoint, host and port.
        endpoint: String,
    },
    /// `/proc` does not tell processes apart.
    #[error(
        "the budget of {endpoint} cannot be shared with other runs: /proc is not mounted, so processes cannot be told apart"
    )]
    NoProc {
        /// The endpoint, host and port.
        endpoint: String,
    },
}

/// A part in the budget of an endpoint. Clones are the same part.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    profile: EndpointProfile,
    ground: Ground,
    me: Who,
    record: AtomicU64,
    requests: Option<RequestRate>,
    /// This process's own paces, where others have larger ones.
    own_requests: AtomicU64,
    own_bytes: AtomicU64,
    /// The largest rates among all processes: requests a minute, bytes a second.
    shared_requests: AtomicU64,
    shared_bytes: AtomicU64,
    looked: AtomicU64,
    swept: AtomicU64,
    month: Option<Month>,
}

/// A connection that may be open. Dropping it gives it back: close the connection first.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    slot: Option<usize>,
    since: u64,
    pace: AtomicU64,
}

impl Budget {
    /// Joins the budget of `endpoint` (host and port) with the limits of `profile`. Where nothing
    /// is limited there is no segment, and nothing is counted.
    ///
    /// # Errors
    /// Why it cannot be shared; [`Budget::alone`] still keeps the limits within this process.
    pub fn open(endpoint: &str, profile: &EndpointProfile) -> Result<Budget, BudgetError> {
        if profile.is_unlimited() {
            return Ok(Budget::alone(endpoint, profile));
        }
        let endpoint = endpoint.to_ascii_lowercase();
        let words =
            Words::open(&name(&endpoint), COUNT).map_err(|source| BudgetError::Segment {
                endpoint: endpoint.clone(),
                source,
            })?;
        let me = Who::new().ok_or_else(|| BudgetError::NoProc {
            endpoint: endpoint.clone(),
        })?;
        let dir = state::directory("traffic");
        Budget::join(words, me, &endpoint, profile, dir.as_deref())
    }

    /// The budget of a store's endpoint, as its configuration wants it. Where it cannot be shared
    /// with other runs, a warning says so, and this process keeps the limits alone.
    ///
    /// # Errors
    /// `Config` where the endpoint is no URL.
    pub fn of(config: &StoreConfig) -> Result<Budget, StoreError> {
        let Endpoint {
            name: endpoint,
            limits: profile,
        } = Endpoint::of(config)?;
        Ok(Budget::open(&endpoint, &profile).unwrap_or_else(|error| {
            tracing::warn!("{error}; this process keeps its limits alone");
            Budget::alone(&endpoint, &profile)
        }))
    }

    /// The same limits for this process alone.
    pub fn alone(endpoint: &str, profile: &EndpointProfile) -> Budget {
        let dir = state::directory("traffic");
        let ground = Ground::own();
        let me = Who::new().unwrap_or(Who(u64::MAX));
        ground.prepare();
        let record = ground.join(me, 0, now_ns()).unwrap_or(0);
        Budget::with(ground, me, record, endpoint, profile, dir.as_deref())
    }

    fn join(
        words: Words,
        me: Who,
        endpoint: &str,
        profile: &EndpointProfile,
        dir: Option<&Path>,
    ) -> Result<Budget, BudgetError> {
        let ground = Ground::Shared(words);
        ground.prepare();
        let record = ground
            .join(me, rates_of(profile), now_ns())
            .ok_or_else(|| BudgetError::Full {
                endpoint: endpoint.to_owned(),
            })?;
        Ok(Budget::with(ground, me, record, endpoint, profile, dir))
    }

    fn with(
        ground: Ground,
        me: Who,
        record: usize,
        endpoint: &str,
        profile: &EndpointProfile,
        dir: Option<&Path>,
    ) -> Budget {
        let month = profile
            .bytes_per_month
            .map(|limit| Month::new(dir.map(Path::to_owned), endpoint, limit));
        let budget = Budget {
            inner: Arc::new(Inner {
                profile: *profile,
                ground,
                me,
                record: AtomicU64::new(record as u64),
                requests: profile.requests_per_minute.map(RequestRate::new),
                own_requests: AtomicU64::new(0),
                own_bytes: AtomicU64::new(0),
                shared_requests: AtomicU64::new(0),
                shared_bytes: AtomicU64::new(0),
                looked: AtomicU64::new(0),
                swept: AtomicU64::new(0),
                month,
            }),
        };
        budget.beat();
        budget
    }

    /// The limits.
    pub fn profile(&self) -> &EndpointProfile {
        &self.inner.profile
    }

    /// A connection, if one is free and nobody else should have it first. `None`: ask again in
    /// about a tenth of a second; until then others know that this process waits.
    pub fn connection(&self) -> Option<Lease> {
        let Some(limit) = self.limit() else {
            return Some(self.lease(None, 0));
        };
        let inner = &*self.inner;
        let now = now_ns();
        self.beat_at(now);
        let record = inner.record.load(Ordering::SeqCst) as usize;
        let mut census = inner.ground.census(inner.me, now);
        if census.held >= limit {
            inner.ground.sweep(now);
            census = inner.ground.census(inner.me, now);
        }
        if census.mine >= limit {
            // It has all that it may have, and waits for nothing.
            return None;
        }
        let free = limit.saturating_sub(census.held);
        let before_me = census.waiters.iter().filter(|w| w.held < census.mine);
        let taken = match free > before_me.count() {
            true => inner.ground.take(inner.me, limit),
            false => None,
        };
        inner.ground.want(record, taken.is_none().then_some(now));
        taken.map(|slot| self.lease(Some(slot), now))
    }

    /// How many connections of the profile nobody holds now; `usize::MAX` without a limit.
    pub fn connections_free(&self) -> usize {
        let Some(limit) = self.limit() else {
            return usize::MAX;
        };
        let now = now_ns();
        self.beat_at(now);
        let held = self.inner.ground.census(self.inner.me, now).held;
        limit.saturating_sub(held)
    }

    /// Takes a request, or says how many nanoseconds to wait before asking again.
    ///
    /// # Errors
    /// The wait, at most two minutes.
    pub fn request(&self, now_ns: u64) -> Result<(), u64> {
        let inner = &*self.inner;
        let Some(own) = inner.requests else {
            return Ok(());
        };
        self.beat_at(now_ns);
        let shared = inner.shared_requests.load(Ordering::Relaxed) as u32;
        let shared = match inner.profile.requests_per_minute {
            Some(mine) if shared > mine => {
                own.take(&inner.own_requests, now_ns)?;
                RequestRate::new(shared)
            }
            _ => own,
        };
        match inner.ground.word(ground::REQUESTS) {
            Some(word) => shared.take(word, now_ns),
            None => Ok(()),
        }
    }

    /// Books bytes that came on any connection; how many nanoseconds to pause before the next
    /// are read. A [`Lease`] books for its connection too.
    pub fn bytes(&self, n: u64, now_ns: u64) -> u64 {
        let inner = &*self.inner;
        if let (Some(month), Some(word)) = (&inner.month, inner.ground.word(ground::MONTH)) {
            month.add(word, n, now_ns);
        }
        let Some(mine) = inner.profile.bytes_per_second else {
            return 0;
        };
        self.beat_at(now_ns);
        let shared = inner.shared_bytes.load(Ordering::Relaxed).max(mine);
        let own = match shared > mine {
            true => rate::book(&inner.own_bytes, n, mine, now_ns),
            false => 0,
        };
        match inner.ground.word(ground::BYTES) {
            Some(word) => rate::book(word, n, shared, now_ns).max(own),
            None => own,
        }
    }

    /// How many bytes of this month are left; `None` without a limit.
    pub fn month_left(&self) -> Option<u64> {
        let word = self.inner.ground.word(ground::MONTH)?;
        Some(self.inner.month.as_ref()?.left(word, now_ns()))
    }

    /// Tells the others that this process lives. Whoever holds connections and uses none of them
    /// calls it at least once a minute; all other calls do it too.
    pub fn beat(&self) {
        if !self.inner.profile.is_unlimited() {
            self.beat_at(now_ns());
        }
    }

    fn beat_at(&self, now: u64) {
        let inner = &*self.inner;
        let record = inner.record.load(Ordering::SeqCst) as usize;
        if !inner.ground.beat(record, inner.me, now) {
            // The segment was damaged, or this process was stopped for minutes.
            inner.ground.prepare();
            if let Some(record) = inner.ground.join(inner.me, rates_of(&inner.profile), now) {
                inner.record.store(record as u64, Ordering::SeqCst);
            }
        }
        let last = inner.looked.load(Ordering::Relaxed);
        if last != 0 && now.saturating_sub(last) < LOOK {
            return;
        }
        inner.looked.store(now, Ordering::Relaxed);
        let (mut requests, mut bytes) = (0, 0);
        for rates in inner.ground.rates(now) {
            requests = requests.max(rates & u64::from(u32::MAX));
            bytes = bytes.max(rates >> 32 << 10);
        }
        inner.shared_requests.store(requests, Ordering::Relaxed);
        inner.shared_bytes.store(bytes, Ordering::Relaxed);
        if now.saturating_sub(inner.swept.load(Ordering::Relaxed)) >= SWEEP {
            inner.swept.store(now, Ordering::Relaxed);
            inner.ground.sweep(now);
        }
    }

    fn limit(&self) -> Option<usize> {
        let limit = self.inner.profile.connections?;
        Some((limit as usize).clamp(1, ground::MOST_CONNECTIONS))
    }

    fn lease(&self, slot: Option<usize>, since: u64) -> Lease {
        Lease {
            budget: self.clone(),
            slot,
            since,
            pace: AtomicU64::new(0),
        }
    }
}

impl Lease {
    /// Books bytes that came on this connection, and all together; how many nanoseconds to pause
    /// before the next are read.
    pub fn bytes(&self, n: u64, now_ns: u64) -> u64 {
        let all = self.budget.bytes(n, now_ns);
        let own = self.budget.inner.profile.bytes_per_connection;
        all.max(own.map_or(0, |rate| rate::book(&self.pace, n, rate, now_ns)))
    }

    /// Whether to close this connection now and give it back, asked between two parts: another
    /// process waits and has fewer, or this process was stopped for so long that the connection
    /// was given to somebody else.
    pub fn wanted_back(&self, now_ns: u64) -> bool {
        let (Some(slot), Some(limit)) = (self.slot, self.budget.limit()) else {
            return false;
        };
        let inner = &*self.budget.inner;
        self.budget.beat_at(now_ns);
        if !inner.ground.holds(inner.me, slot) {
            return true;
        }
        if !inner.ground.anybody_waits(now_ns) {
            return false;
        }
        let census = inner.ground.census(inner.me, now_ns);
        if census.held < limit {
            // There is one to be had already.
            return false;
        }
        let turn = now_ns.saturating_sub(self.since) >= TURN;
        census.waiters.iter().any(|waiter| {
            waiter.held + 1 < census.mine || waiter.held == 0 && census.most == 1 && turn
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let inner = &*self.budget.inner;
            inner.ground.give_back(inner.me, slot);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let (Some(month), Some(word)) = (&self.month, self.ground.word(ground::MONTH)) {
            month.save(word);
        }
        let record = self.record.load(Ordering::SeqCst) as usize;
        self.ground.leave(record, self.me);
    }
}

/// The rates of a profile in one word: requests a minute, and KiB a second above them; 0 is no
/// limit.
fn rates_of(profile: &EndpointProfile) -> u64 {
    let requests = u64::from(profile.requests_per_minute.unwrap_or(0));
    let kib = profile.bytes_per_second.unwrap_or(0).div_ceil(1024);
    requests | kib.min(u64::from(u32::MAX)) << 32
}

/// The segment of an endpoint. Processes that do not see each other's pids have segments of their
/// own, since they could not tell who lives.
fn name(endpoint: &str) -> String {
    let pids = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let hash = xxh3_64(format!("{endpoint}\n{}", pids.display()).as_bytes());
    let user = rustix::process::geteuid().as_raw();
    format!("cotec-{user}-endpoint-{hash:016x}")
}
