//! The rate that one setting gives, measured over a stretch of time.

/// Looks closer together than this are taken as one, so that a rate is never that of a moment.
const SHORTEST_LOOK_NS: u64 = 40_000_000;
/// Growth from the first to the second half that counts as still rising.
const RISING: f64 = 1.06;

/// A stretch of time in which one setting holds. It begins when the setting has had the time to
/// take effect.
#[derive(Clone, Debug)]
pub(super) struct Window {
    opens_ns: u64,
    start: Option<(u64, u64)>,
    last: (u64, u64),
    /// Bytes per second from look to look.
    rates: Vec<f64>,
}

impl Window {
    /// A window that begins at `opens_ns`.
    pub fn opening(opens_ns: u64) -> Window {
        Window {
            opens_ns,
            start: None,
            last: (0, 0),
            rates: Vec::new(),
        }
    }

    /// Begins again at `at_ns`: what came so far says nothing.
    pub fn again(&mut self, at_ns: u64) {
        *self = Window::opening(at_ns.max(self.opens_ns));
    }

    /// How long the window has been waiting to begin, at most; 0 before its time has come.
    pub fn overdue_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.opens_ns)
    }

    /// Whether it has begun.
    pub fn begun(&self) -> bool {
        self.start.is_some()
    }

    /// `bytes` is the count since the start of the program.
    pub fn look(&mut self, at_ns: u64, bytes: u64) {
        if at_ns < self.opens_ns {
            return;
        }
        if self.start.is_none() {
            self.start = Some((at_ns, bytes));
            self.last = (at_ns, bytes);
            return;
        }
        let passed = at_ns.saturating_sub(self.last.0);
        if passed >= SHORTEST_LOOK_NS {
            let came = bytes.saturating_sub(self.last.1);
            self.rates.push(came as f64 * 1e9 / passed as f64);
            self.last = (at_ns, bytes);
        }
    }

    /// Nanoseconds measured.
    pub fn length_ns(&self) -> u64 {
        self.start
            .map_or(0, |(begun, _)| self.last.0.saturating_sub(begun))
    }

    /// Bytes per second; 0 before anything was measured.
    pub fn rate(&self) -> f64 {
        let length = self.length_ns();
        match self.start {
            Some((_, bytes)) if length > 0 => {
                self.last.1.saturating_sub(bytes) as f64 * 1e9 / length as f64
            }
            _ => 0.0,
        }
    }

    /// The standard error of the rate as a share of it; 1 where too little was measured.
    pub fn error(&self) -> f64 {
        let count = self.rates.len() as f64;
        let mean = self.rates.iter().sum::<f64>() / count.max(1.0);
        if count < 2.0 || mean <= 0.0 {
            return 1.0;
        }
        let squares: f64 = self.rates.iter().map(|rate| (rate - mean).powi(2)).sum();
        (squares / (count - 1.0) / count).sqrt() / mean
    }

    /// Whether the second half was clearly faster than the first: connections still speed up.
    pub fn rising(&self) -> bool {
        let half = self.rates.len() / 2;
        let (first, second) = (
            self.rates.iter().take(half),
            self.rates.iter().rev().take(half),
        );
        half > 0 && second.sum::<f64>() > RISING * first.sum::<f64>()
    }
}
