//! The simulated line: one thread, epoll, and a timer.
//!
//! What it models: each connection waits round trips before an answer begins, and the answers'
//! bytes share the line in turns of one chunk. Requests and uploads cost time, not bandwidth.

mod answer;
mod connection;
mod dice;
mod head;
mod line;
mod options;
mod origin;
mod stats;

pub use line::serve;
pub use options::{Change, HELP, Options};
pub use stats::Stats;
