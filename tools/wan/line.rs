//! The loop: accepts, reads requests, and lets connections take turns on the line.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::answer::Answer;
use super::connection::{Connection, Fate, Phase, Ready, Then};
use super::dice::Dice;
use super::head::{self, Head};
use super::options::{CapAnswer, Change, Options};
use super::origin;
use super::stats::Stats;

/// Between two looks at `stop` and at the script.
const LOOK: Duration = Duration::from_millis(50);
/// Between two turns of the line: often enough for a round trip of a millisecond, seldom enough
/// to cost little.
const TURN: Duration = Duration::from_micros(500);
/// How much unused time of the line may be caught up with, since timers are late.
const CATCH_UP: Duration = Duration::from_millis(3);
/// A chunk takes no more of the line than this.
const LONGEST_CHUNK: f64 = 0.005;

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// Serves until `stop` says so; what was seen.
///
/// # Errors
/// The listener's or the kernel's, not those of connections.
pub fn serve(
    listener: TcpListener,
    options: Options,
    mut script: Vec<Change>,
    mut stop: impl FnMut() -> bool,
) -> io::Result<Stats> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    epoll::add(
        &epoll,
        &timer,
        EventData::new_u64(TIMER),
        EventFlags::IN | EventFlags::ET,
    )?;
    let begun = Instant::now();
    let mut line = Line {
        dice: Dice::new(options.seed),
        options,
        epoll,
        slots: Vec::new(),
        free: Vec::new(),
        generation: 0,
        ring: VecDeque::new(),
        heap: BinaryHeap::new(),
        credit: 0.0,
        credit_at: begun,
        next_turn: begun,
        tokens: 1.0,
        tokens_at: begun,
        open: 0,
        stats: Stats::new(),
    };
    script.sort_by_key(|change| Reverse(change.after));
    let mut events = Vec::with_capacity(256);
    let mut look_at = begun;
    loop {
        let now = Instant::now();
        if now >= look_at {
            if stop() {
                return Ok(line.stats);
            }
            look_at = now + LOOK;
            while script.last().is_some_and(|c| now >= begun + c.after) {
                if let Some(change) = script.pop() {
                    let set = line.options.set(&change.option, &change.value);
                    set.map_err(io::Error::other)?;
                }
            }
        }
        while let Some(Reverse((at, id))) = line.heap.peek().copied()
            && at <= now
        {
            line.heap.pop();
            line.wake(id, now);
        }
        if now >= line.next_turn {
            line.turn(now);
        }
        let next = line
            .heap
            .peek()
            .map_or(look_at, |Reverse((at, _))| look_at.min(*at));
        let next = match line.ring.is_empty() {
            true => next,
            false => next.min(line.next_turn),
        };
        arm(&timer, next)?;
        match epoll::wait(&line.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => line.accept(&listener, now)?,
                TIMER => {}
                _ => line.event(event, now),
            }
        }
    }
}

fn arm(timer: &OwnedFd, at: Instant) -> io::Result<()> {
    let wait = at
        .saturating_duration_since(Instant::now())
        .max(Duration::from_nanos(1));
    let value = Timespec {
        tv_sec: wait.as_secs() as i64,
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let once = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: value,
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}

/// A connection's place, and which of all that stood there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    at: u32,
    generation: u32,
}

impl Id {
    fn data(self, upstream: bool) -> EventData {
        let low = u64::from(self.at) << 1 | u64::from(upstream);
        EventData::new_u64(u64::from(self.generation) << 32 | low)
    }
}

struct Line {
    options: Options,
    dice: Dice,
    epoll: OwnedFd,
    slots: Vec<Option<(u32, Connection)>>,
    free: Vec<u32>,
    generation: u32,
    /// Connections with something to send, in turn.
    ring: VecDeque<Id>,
    heap: BinaryHeap<Reverse<(Instant, Id)>>,
    /// Bytes that the line could have carried by now and has not.
    credit: f64,
    credit_at: Instant,
    next_turn: Instant,
    /// Requests that the budget allows now.
    tokens: f64,
    tokens_at: Instant,
    open: usize,
    stats: Stats,
}

impl Line {
    fn get(&mut self, id: Id) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.at as usize)?.as_mut();
        slot.filter(|(generation, _)| *generation == id.generation)
            .map(|(_, c)| c)
    }

    fn room(&self) -> bool {
        self.options.cap.is_none_or(|cap| self.open < cap)
    }

    fn admit(&mut self, now: Instant) {
        self.open += 1;
        self.stats.open(now, self.open);
    }

    fn drop_connection(&mut self, id: Id, now: Instant) {
        if self.get(id).is_none() {
            return;
        }
        if let Some((_, connection)) = self.slots[id.at as usize].take() {
            self.free.push(id.at);
            if connection.admitted {
                self.open -= 1;
                self.stats.open(now, self.open);
            }
        }
    }

    /// So many round trips, each a little longer or shorter.
    fn round_trips(&mut self, count: u32) -> Duration {
        let spread = self.options.jitter * (2.0 * self.dice.share() - 1.0);
        self.options
            .rtt
            .mul_f64((f64::from(count) * (1.0 + spread)).max(0.0))
    }

    fn accept(&mut self, listener: &TcpListener, now: Instant) -> io::Result<()> {
        loop {
            let client = match listener.accept() {
                Ok((client, _)) => client,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It was gone before it was accepted, or there is no descriptor for it.
                Err(_) => return Ok(()),
            };
            if client.set_nonblocking(true).is_err() || client.set_nodelay(true).is_err() {
                continue;
            }
            self.stats.connections += 1;
            let admitted = self.room();
            let phase = match self.options.cap_answer {
                CapAnswer::Refuse if !admitted => {
                    self.stats.refused(now);
                    Phase::Refused(now + self.round_trips(1).max(Duration::from_millis(1)))
                }
                _ => Phase::Idle,
            };
            let refused = match &phase {
                Phase::Refused(at) => Some(*at),
                _ => None,
            };
            if admitted {
                self.admit(now);
            }
            let id = self.place(Connection::new(client, phase, admitted, now));
            match refused {
                Some(at) => self.heap.push(Reverse((at, id))),
                None => self.watch(id, now),
            }
        }
    }

    fn place(&mut self, connection: Connection) -> Id {
        self.generation = self.generation.wrapping_add(1) & 0x7fff_ffff;
        let at = self.free.pop().unwrap_or(self.slots.len() as u32);
        if at as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[at as usize] = Some((self.generation, connection));
        Id {
            at,
            generation: self.generation,
        }
    }

    fn watch(&mut self, id: Id, now: Instant) {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let Some((_, connection)) = &self.slots[id.at as usize] else {
            return;
        };
        if epoll::add(
            &self.epoll,
            connection.client.as_fd(),
            id.data(false),
            flags,
        )
        .is_err()
        {
            self.drop_connection(id, now);
        }
    }

    fn event(&mut self, event: Event, now: Instant) {
        let data = event.data.u64();
        let id = Id {
            at: (data as u32) >> 1,
            generation: (data >> 32) as u32,
        };
        let flags = event.flags;
        let Some(connection) = self.get(id) else {
            return;
        };
        if data & 1 == 1 {
            // An upstream that has closed is noticed by reading from it.
            connection.upstream_readable = true;
            self.enqueue(id);
            return;
        }
        if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.drop_connection(id, now);
            return;
        }
        if flags.contains(EventFlags::OUT) {
            connection.writable = true;
            self.enqueue(id);
        }
        if flags.contains(EventFlags::IN) && self.read(id, now).is_err() {
            self.drop_connection(id, now);
        }
    }

    fn enqueue(&mut self, id: Id) {
        if let Some(connection) = self.get(id)
            && !connection.queued
            && matches!(connection.phase, Phase::Sending(_) | Phase::Passing)
        {
            connection.queued = true;
            self.ring.push_back(id);
        }
    }

    /// Reads what the client says, as far as it makes sense now.
    fn read(&mut self, id: Id, now: Instant) -> io::Result<()> {
        let Some(connection) = self.get(id) else {
            return Ok(());
        };
        if connection.upload_left > 0 && matches!(connection.phase, Phase::Passing) {
            connection.upload()?;
        }
        if !matches!(connection.phase, Phase::Idle | Phase::Passing) || connection.upload_left > 0 {
            return Ok(());
        }
        let mut bytes = vec![0; 1 << 16];
        loop {
            let peeked = match connection.client.peek(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(peeked) => peeked,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if connection.unread == 0 {
                let Some(head) = head::parse(&bytes[..peeked]) else {
                    return Ok(());
                };
                let raw = bytes[..head.length].to_vec();
                return self.request(id, &head, raw, now);
            }
            if peeked <= connection.unread {
                return Ok(());
            }
            connection.consume()?;
        }
    }

    /// Decides what a request gets, and when.
    fn request(&mut self, id: Id, head: &Head, raw: Vec<u8>, now: Instant) -> io::Result<()> {
        self.stats.requests += 1;
        self.stats.begun.get_or_insert(now);
        let open = self.open;
        self.stats.open(now, open);
        let fate = self.fate();
        let room = self.room();
        let Some(connection) = self.get(id) else {
            return Ok(());
        };
        let first = connection.requests == 0;
        let admits = !connection.admitted && room;
        connection.admitted |= admits;
        let beyond_cap = !connection.admitted;
        connection.begin(fate);
        connection.unread = head.length;
        if !matches!(fate, Some(Fate::Reset(_))) {
            connection.consume()?;
        }
        if admits {
            self.admit(now);
        }
        let handshake = if first { self.options.handshake } else { 0 };
        let delay = self.round_trips(handshake + 1 + self.options.trips);
        let then = match self.options.cap_answer {
            CapAnswer::Status(status) if beyond_cap => {
                self.stats.refused(now);
                let reason = if status == 429 {
                    "TooManyRequests"
                } else {
                    "SlowDown"
                };
                Then::Send(Answer::status(status, reason, "", head.close))
            }
            _ => match self.over_budget(now) {
                Some(seconds) => {
                    self.stats.beyond_budget += 1;
                    let more = format!("Retry-After: {seconds}\r\n");
                    Then::Send(Answer::status(429, "TooManyRequests", &more, head.close))
                }
                None if self.options.upstream.is_none() => {
                    Then::Send(origin::answer(head, &self.options.sets))
                }
                None => Then::Forward(raw),
            },
        };
        if matches!(then, Then::Forward(_)) {
            self.connect(id)?;
        }
        let at = now + delay;
        if let Some(connection) = self.get(id) {
            connection.upload_left = match (&then, head.chunked) {
                (Then::Forward(_), true) => u64::MAX,
                (Then::Forward(_), false) => head.content_length,
                _ => 0,
            };
            connection.phase = Phase::Waiting(at, then);
            self.heap.push(Reverse((at, id)));
        }
        Ok(())
    }

    fn fate(&mut self) -> Option<Fate> {
        let (stalls, resets) = (self.options.stalls, self.options.resets);
        let share = if stalls + resets > 0.0 {
            self.dice.share()
        } else {
            1.0
        };
        if share < stalls {
            self.stats.stalls += 1;
            Some(Fate::Stall(self.options.stall_at))
        } else if share < stalls + resets {
            self.stats.resets += 1;
            Some(Fate::Reset(self.options.reset_at))
        } else {
            None
        }
    }

    /// Seconds until the request budget allows another request, if it does not allow this one.
    fn over_budget(&mut self, now: Instant) -> Option<u64> {
        let rate = self.options.rpm? / 60.0;
        let passed = now.saturating_duration_since(self.tokens_at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(rate.max(1.0));
        self.tokens_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return None;
        }
        Some(((1.0 - self.tokens) / rate).ceil().max(1.0) as u64)
    }

    fn connect(&mut self, id: Id) -> io::Result<()> {
        let Some(address) = self.options.upstream else {
            return Ok(());
        };
        if self.get(id).is_some_and(|c| c.upstream.is_some()) {
            return Ok(());
        }
        let upstream = TcpStream::connect(address)?;
        upstream.set_nonblocking(true)?;
        upstream.set_nodelay(true)?;
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, upstream.as_fd(), id.data(true), flags)?;
        if let Some(connection) = self.get(id) {
            connection.upstream = Some(upstream);
        }
        Ok(())
    }

    /// A connection's time has come.
    fn wake(&mut self, id: Id, now: Instant) {
        let Some(connection) = self.get(id) else {
            return;
        };
        match std::mem::replace(&mut connection.phase, Phase::Passing) {
            Phase::Refused(_) => {
                self.drop_connection(id, now);
                return;
            }
            Phase::Waiting(at, then) if at > now => connection.phase = Phase::Waiting(at, then),
            Phase::Waiting(_, Then::Send(answer)) => connection.phase = Phase::Sending(answer),
            Phase::Waiting(_, Then::Forward(bytes)) => {
                let sent = connection.forward(&bytes);
                if sent.and_then(|()| self.read(id, now)).is_err() {
                    self.drop_connection(id, now);
                }
            }
            other => connection.phase = other,
        }
        self.enqueue(id);
    }

    /// Lets connections send, one chunk each in turn, as long as the line has room.
    fn turn(&mut self, now: Instant) {
        self.next_turn = now + TURN;
        let mut chunk = self.options.chunk;
        if let Some(rate) = self.options.total {
            chunk = chunk.min((rate * LONGEST_CHUNK) as u64).max(1448);
            let passed = now.saturating_duration_since(self.credit_at).as_secs_f64();
            let most = rate * CATCH_UP.as_secs_f64();
            self.credit = (self.credit + passed * rate).min(most.max(chunk as f64));
        }
        self.credit_at = now;
        // Without a total rate everybody has one turn.
        let mut unlimited = self.ring.len();
        while match self.options.total {
            Some(_) => self.credit > 0.0,
            None => unlimited > 0,
        } {
            unlimited = unlimited.saturating_sub(1);
            let Some(id) = self.ring.pop_front() else {
                break;
            };
            self.take_turn(id, now, chunk);
        }
        if let Some(rate) = self.options.total
            && self.credit < 0.0
        {
            let wait = Duration::from_secs_f64(-self.credit / rate);
            self.next_turn = now + wait.max(TURN);
        }
    }

    fn take_turn(&mut self, id: Id, now: Instant, chunk: u64) {
        let loss = self.options.loss;
        let lost = loss > 0.0 && self.dice.share() > (1.0 - loss).powf(chunk.div_ceil(1448) as f64);
        let Some(Some((generation, connection))) = self.slots.get_mut(id.at as usize) else {
            return;
        };
        if *generation != id.generation {
            return;
        }
        connection.queued = false;
        let most = match connection.ready(now, &self.options, chunk) {
            Ready::Nothing => return,
            Ready::Later(at) => {
                self.heap.push(Reverse((at, id)));
                return;
            }
            Ready::Reset => {
                self.drop_connection(id, now);
                return;
            }
            Ready::Bytes(most) => most,
        };
        match connection.send(most) {
            Ok(bytes) => {
                connection.account(now, bytes, &self.options, lost);
                self.credit -= bytes as f64;
                self.stats.sent(now, bytes);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.writable = false;
                return;
            }
            Err(_) => {
                self.drop_connection(id, now);
                return;
            }
        }
        let close = match &connection.phase {
            Phase::Sending(answer) if answer.left() == 0 => answer.close,
            _ => {
                self.enqueue(id);
                return;
            }
        };
        connection.phase = Phase::Idle;
        let consumed = connection.consume();
        // The next request may be there already.
        if close || consumed.is_err() || self.read(id, now).is_err() {
            self.drop_connection(id, now);
        }
    }
}
