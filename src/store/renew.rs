//! The keys that a store signs with, renewed before they expire.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::credentials::Finder;
use super::keys::Keys;
use super::{Credentials, StoreError};

/// Keys are renewed this long before they expire, or when three quarters of their time is over.
const AHEAD: Duration = Duration::from_secs(300);
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(10);
/// How long new keys are used, even if a store refuses them at once.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long after a correction a request may have been signed by the wrong clock.
const SIGNED_BEFORE: Duration = Duration::from_secs(120);
/// Whoever gives keys gets no longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clocks that differ by fewer seconds are taken as the same.
const SAME_TIME: u64 = 60;

/// The keys of today.
pub(super) struct Keyring {
    /// `None` where requests are not signed, and before the first keys are found.
    keys: RwLock<Option<Arc<Keys>>>,
    /// Where further ones come from.
    finder: Option<Finder>,
    /// Milliseconds since 1970 at which [`Keyring::fresh`] has something to do.
    due: AtomicU64,
    /// Seconds by which the store's clock is ahead of this machine's.
    skew: AtomicI64,
    corrected: Mutex<Option<Instant>>,
    finding: tokio::sync::Mutex<Found>,
}

/// What came of the last search.
#[derive(Default)]
struct Found {
    at: Option<Instant>,
    failure: Option<String>,
    /// It brought the keys that were there already.
    again: bool,
}

impl Keyring {
    pub fn new(credentials: &Credentials) -> Keyring {
        let (keys, finder) = match credentials {
            Credentials::Anonymous => (None, None),
            Credentials::Keys {
                access,
                secret,
                token,
            } => {
                let keys = Keys {
                    access: access.clone(),
                    secret: secret.clone(),
                    token: token.clone(),
                    expires: None,
                };
                (Some(Arc::new(keys)), None)
            }
            Credentials::Sought(search) => (None, Some(Finder::new(search.clone()))),
        };
        Keyring {
            due: AtomicU64::new(if finder.is_some() { 0 } else { u64::MAX }),
            keys: RwLock::new(keys),
            finder,
            skew: AtomicI64::new(0),
            corrected: Mutex::new(None),
            finding: tokio::sync::Mutex::default(),
        }
    }

    /// The keys to sign with now.
    pub fn keys(&self) -> Option<Arc<Keys>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// Milliseconds since 1970 by the store's clock, as far as that is known.
    pub fn now_ms(&self) -> u64 {
        let now = milliseconds(SystemTime::now());
        now.saturating_add_signed(self.skew.load(Ordering::Relaxed).saturating_mul(1_000))
    }

    /// Finds keys where there are none yet, and new ones where these expire soon. Many may call
    /// this at once: one of them does the work, and the others wait only where they must.
    pub async fn fresh(&self) -> Result<(), StoreError> {
        let due = || self.now_ms() >= self.due.load(Ordering::Acquire);
        let Some(finder) = self.finder.as_ref().filter(|_| due()) else {
            return Ok(());
        };
        let mut last = match self.finding.try_lock() {
            Ok(last) => last,
            Err(_) if self.usable() => return Ok(()),
            Err(_) => self.finding.lock().await,
        };
        if !due() {
            return Ok(());
        }
        if let (Some(at), Some(failure)) = (last.at, &last.failure)
            && at.elapsed() < PAUSE
        {
            return self.failed(failure);
        }
        let found = match tokio::time::timeout(PATIENCE, finder.find()).await {
            Ok(found) => found,
            Err(_) => Err(format!(
                "no credentials came within {} s; {}",
                PATIENCE.as_secs(),
                finder.asked()
            )),
        };
        last.at = Some(Instant::now());
        match found {
            Ok(keys) => {
                last.failure = None;
                last.again = self.keys().is_some_and(|known| *known == keys);
                self.take(keys);
                Ok(())
            }
            Err(failure) => {
                let outcome = self.failed(&failure);
                last.failure = Some(failure);
                outcome
            }
        }
    }

    /// A failure matters only when the keys that there are cannot be used any more.
    fn failed(&self, failure: &str) -> Result<(), StoreError> {
        if self.usable() {
            tracing::warn!("the credentials could not be renewed yet: {failure}");
            let later = self.now_ms() + PAUSE.as_millis() as u64;
            self.due.store(later, Ordering::Release);
            return Ok(());
        }
        Err(StoreError::NoCredentials {
            message: failure.to_owned(),
        })
    }

    fn usable(&self) -> bool {
        let expires = |keys: &Keys| keys.expires.map_or(u64::MAX, milliseconds);
        self.keys()
            .is_some_and(|keys| self.now_ms() < expires(&keys))
    }

    fn take(&self, keys: Keys) {
        let now = self.now_ms();
        let due = keys.expires.map_or(u64::MAX, |expires| {
            let left = milliseconds(expires).saturating_sub(now);
            let ahead = (AHEAD.as_millis() as u64).min(left / 4);
            // Who gives expired keys is not asked again at once.
            now + (left - ahead).max(1_000)
        });
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
        self.due.store(due, Ordering::Release);
    }

    /// The store said that the keys have expired: the next [`Keyring::fresh`] looks for new ones,
    /// but not more than five times a second. False where there are no others.
    pub fn expired(&self) -> bool {
        // Who is looking at this moment finds new ones anyway.
        let Ok(last) = self.finding.try_lock() else {
            return true;
        };
        if last.at.is_none_or(|at| at.elapsed() >= BETWEEN) {
            self.due.store(0, Ordering::Release);
        }
        self.finder.is_some() && !last.again
    }

    /// Takes the store's clock as the right one. True where it differs much from what was thought
    /// when a request was signed a short time ago.
    pub fn correct_clock(&self, theirs: SystemTime) -> bool {
        let difference = milliseconds(theirs) as i64 - milliseconds(SystemTime::now()) as i64;
        let skew = difference / 1_000;
        let known = self.skew.load(Ordering::Relaxed);
        let mut corrected = self
            .corrected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if skew.abs_diff(known) > SAME_TIME {
            self.skew.store(skew, Ordering::Relaxed);
            *corrected = Some(Instant::now());
        }
        corrected.is_some_and(|at| at.elapsed() < SIGNED_BEFORE)
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
