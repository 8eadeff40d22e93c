//! An S3 server over a directory, for the sample, for `--serve` and for tests.
//!
//! Each sub-directory of the root is a bucket and each file below it an object. Protocol and
//! signatures are those of `s3s`. The objects are handled here and not by `s3s-fs`, which hashes a
//! whole file for each of its ranges, ignores If-Match, does not encode the keys of a listing, and
//! makes names of 4/3 of a key's length, too long for the keys of Sentinel-2 products. Reading never
//! writes, so a read-only directory will do; an upload under way is a hidden file beside the buckets.
//!
//! Keys are paths of files. So a key with an empty, `.` or `..` segment, or a segment longer than
//! the file system takes, cannot be stored (the store says so), nor can both `a` and `a/b`. Files
//! whose names are not UTF-8, and what is neither file nor directory, are not objects. ETags are
//! made from inode, size and time of modification, in a form that nobody takes for an MD5.

mod files;
mod service;
mod write;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use tokio::net::unix::pipe;

use super::StoreError;
use super::error::local;
use service::Directory;

/// Serves the directory `root` on `listener` with one pair of keys, until the other end of the pipe
/// `shutdown` is closed (as it is when the process that holds it dies) or written to; without one,
/// for ever.
///
/// Blocks, and runs in a tokio runtime of its own on the current thread.
///
/// # Errors
/// `Local` where `root` is no directory, or the listener or the pipe cannot be used.
pub fn serve(
    root: &Path,
    listener: TcpListener,
    access: &str,
    secret: &str,
    shutdown: Option<OwnedFd>,
) -> Result<(), StoreError> {
    let directory = Directory::open(root)?;
    serve_service(directory, listener, access, secret, shutdown).map_err(local(root, "serve"))
}

/// The same for any implementation of S3.
///
/// # Errors
/// Where the listener or the pipe cannot be used.
pub fn serve_service(
    s3: impl s3s::S3,
    listener: TcpListener,
    access: &str,
    secret: &str,
    shutdown: Option<OwnedFd>,
) -> io::Result<()> {
    let mut builder = S3ServiceBuilder::new(s3);
    builder.set_auth(SimpleAuth::from_single(access, secret));
    builder.set_validation(AnyDirectory);
    let service = builder.build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        match shutdown {
            None => accept(&listener, &service).await,
            Some(pipe) => {
                let pipe = pipe::Receiver::from_owned_fd(pipe)?;
                tokio::select! {
                    ended = pipe.readable() => ended,
                    never = accept(&listener, &service) => never,
                }
            }
        }
    });
    runtime.shutdown_background();
    served
}

fn accept(
    listener: &tokio::net::TcpListener,
    service: &S3Service,
) -> impl Future<Output = io::Result<()>> {
    let server = auto::Builder::new(TokioExecutor::new()).http1_only();
    async move {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    let _ = socket.set_nodelay(true);
                    let connection = server
                        .serve_connection(TokioIo::new(socket), service.clone())
                        .into_owned();
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection ended");
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: wait for one to be given back.
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// Any directory's name is a bucket's, even where Amazon would not allow it.
struct AnyDirectory;

impl NameValidation for AnyDirectory {
    fn validate_bucket_name(&self, name: &str) -> bool {
        files::is_bucket_name(name)
    }
}
