//! One request: a connection, the question, the checks of the answer, the bytes.

use std::rc::Rc;
use std::time::Duration;

use crate::store::{ErrorKind, Lease, S3Store};
use crate::sys::clock::now_ns;
use crate::table::Table;
use crate::values::ByteRange;

use super::error::FetchError;
use super::part::{Doing, Flight};
use super::verify;
use super::wire::{Ask, Connection, Wire, WireError};

/// No error document is longer than this; what lies beyond is not read.
const ERROR_BYTES: usize = 64 << 10;

/// What a request needs of the engine.
pub(super) trait Surroundings {
    fn wire(&self) -> &Wire;
    fn store(&self) -> &S3Store;
    fn table(&self) -> &Table;
    /// A good answer has come.
    fn answered(&self, flight: &Flight);
    /// Bytes have landed.
    fn came(&self, flight: &Flight, bytes: u64);
}

/// Fetches what is left of a flight's part. The connection is given back if it can be used
/// again; when this is dropped half way, it is closed.
pub(super) async fn run(
    engine: &impl Surroundings,
    connection: &mut Option<Connection>,
    lease: &Lease,
    flight: &Rc<Flight>,
) -> Result<(), FetchError> {
    let object = &flight.part.object;
    engine.store().month_has_room()?;
    let range = flight.from..flight.part.range.end;
    engine.store().fresh().await?;
    let (url, checksums) = engine.store().get_url_with_checksums(&object.key);
    let etag = object.etag.as_deref().map(verify::quoted);
    let ask = Ask {
        url: &url,
        range: range.clone(),
        etag: etag.as_deref(),
        whole: range.start == 0 && range.end == object.size,
        checksums,
    };
    let (mut line, head) = loop {
        let kept = connection.take().filter(Connection::quiet);
        let used = kept.is_some();
        let outcome = async {
            let mut line = match kept {
                Some(line) => line,
                None => {
                    flight.doing.set(Doing::Connecting);
                    engine.wire().connect().await?
                }
            };
            flight.doing.set(Doing::Asking);
            let head = line.ask(&ask).await?;
            Ok((line, head))
        };
        match outcome.await {
            // It was closed while it was idle, which says nothing of the store.
            Err(WireError::Closed) if used => continue,
            Err(error) => return Err(explained(engine, flight, error)),
            Ok(both) => break both,
        }
    };
    if !matches!(head.status, 200 | 206) {
        let body = line.text(ERROR_BYTES).await;
        if line.reusable() {
            *connection = Some(line);
        }
        let store = engine.store();
        return Err(store
            .explain(&object.key, head.status, &head.headers, &body)
            .into());
    }
    verify::answer(&head, object, &range, engine.store())?;
    // Where a body ends by its chunks, nothing of it counts before its end.
    let sure = head.content_length().is_some();
    object.answered(ByteRange::new(range.start, range.end), &head.headers);
    engine.answered(flight);
    flight.doing.set(Doing::Landing);
    let mut at = range.start;
    loop {
        let landed = line.land(&object.landing.file, at, range.end - at).await;
        let bytes = landed.map_err(|error| explained(engine, flight, error))?;
        if bytes == 0 {
            break;
        }
        at += bytes;
        flight.at.set(at);
        engine.came(flight, bytes);
        if sure {
            flight.part.landed(engine.table(), at);
        }
        let pause = lease.bytes(bytes, now_ns());
        if pause > 0 {
            flight.doing.set(Doing::Pausing);
            tokio::time::sleep(Duration::from_nanos(pause)).await;
            flight.doing.set(Doing::Landing);
        }
    }
    if at < range.end {
        return Err(short(flight));
    }
    flight.part.landed(engine.table(), at);
    if line.reusable() {
        *connection = Some(line);
    }
    Ok(())
}

fn short(flight: &Flight) -> FetchError {
    FetchError::Short {
        range: flight.part.range,
        missing: flight.part.range.end - flight.at.get(),
    }
}

fn explained(engine: &impl Surroundings, flight: &Flight, error: WireError) -> FetchError {
    let object = &flight.part.object;
    let unreachable = || engine.store().unreachable(&object.key, &error.to_string());
    match error {
        WireError::Connect { what, source, .. } => {
            let error = engine.store().connection_error(&object.key, &what, &source);
            match error.kind() {
                ErrorKind::Unreachable => FetchError::Connect(error),
                _ => FetchError::Store(error),
            }
        }
        WireError::Closed => FetchError::Connect(unreachable()),
        WireError::Broken(_) if flight.doing.get() == Doing::Landing => short(flight),
        WireError::Broken(_) => FetchError::Connect(unreachable()),
        WireError::Answer(_) => {
            let store = engine.store();
            FetchError::Store(store.strange(&object.key, &error.to_string()))
        }
        WireError::Long => FetchError::Long {
            range: flight.part.range,
        },
        WireError::File(source) => FetchError::Staging {
            path: object.landing.path.clone(),
            source,
        },
    }
}
