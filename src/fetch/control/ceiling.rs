//! What is remembered of an endpoint's refusals: how many connections held, how many did not.

/// How long a number that was refused is not tried again: at first, where none had held before (the
/// lister may have been connected too), and at last.
const HOLD_NS: u64 = 15_000_000_000;
const EARLY_HOLD_NS: u64 = 2_000_000_000;
const LONGEST_HOLD_NS: u64 = 1_800_000_000_000;

/// The memory of a cap on connections.
#[derive(Clone, Debug)]
pub(super) struct Ceiling {
    /// The smallest number that was refused.
    refused: Option<Refused>,
    hold_ns: u64,
    /// The largest number that was measured without a refusal; 0 for none.
    held: usize,
    /// There was a refusal.
    known: bool,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    count: usize,
    until_ns: u64,
}

impl Ceiling {
    pub fn new() -> Ceiling {
        Ceiling {
            refused: None,
            hold_ns: HOLD_NS,
            held: 0,
            known: false,
        }
    }

    /// The most connections that may be tried now: below what was refused, and, when that is
    /// long ago, exactly what was refused.
    pub fn allowed(&self, at_ns: u64) -> usize {
        match self.refused {
            None => usize::MAX,
            Some(refused) if at_ns < refused.until_ns => refused.count - 1,
            Some(refused) => refused.count,
        }
    }

    /// When a number that was refused may be tried again, if there is one.
    pub fn again_ns(&self) -> Option<u64> {
        self.refused.map(|refused| refused.until_ns)
    }

    /// Whether this endpoint refuses: it did once.
    pub fn known(&self) -> bool {
        self.known
    }

    /// The largest number that held.
    pub fn held(&self) -> usize {
        self.held
    }

    /// `count` connections were measured and none was refused.
    pub fn holds(&mut self, count: usize) {
        self.held = self.held.max(count);
        if self.refused.is_some_and(|refused| count >= refused.count) {
            self.refused = None;
            self.hold_ns = HOLD_NS;
        }
    }

    /// `count` connections, at least 2, were refused: the memory lasts longer each time that a
    /// number is found refused again.
    pub fn refuses(&mut self, at_ns: u64, count: usize) {
        self.hold_ns = match self.refused {
            Some(refused) if count >= refused.count => (self.hold_ns * 2).min(LONGEST_HOLD_NS),
            _ if self.held == 0 => EARLY_HOLD_NS,
            _ => HOLD_NS,
        };
        self.known = true;
        self.falls_below(at_ns, count, self.hold_ns);
    }

    /// `count` connections, at least 2, were too many for the next `hold_ns`.
    pub fn falls_below(&mut self, at_ns: u64, count: usize, hold_ns: u64) {
        self.refused = Some(Refused {
            count,
            until_ns: at_ns.saturating_add(hold_ns),
        });
        if self.held >= count {
            self.held = 0;
        }
    }

    /// The refusals said nothing about the number.
    pub fn forget(&mut self) {
        *self = Ceiling::new();
    }
}
