//! `cotec ls s3://bucket/prefix`

use std::io::{self, BufWriter, ErrorKind, Write};

use cotec::store::{Address, Page, StoreError};
use cotec::values::human;
use serde_json::json;

use super::{complain, say};
use crate::Cli;

/// What is to be listed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bucket and prefix, written s3://BUCKET/PREFIX
    address: Address,
    /// List everything below the prefix, not one level of it
    #[arg(short, long)]
    recursive: bool,
}

/// Prints a listing page by page, and gives the exit code: 1 where nothing begins with the prefix.
pub fn run(args: &Args, cli: &Cli) -> Result<u8, StoreError> {
    let delimiter = (!args.recursive).then_some("/");
    let count = cli.with_store(&args.address, async |store| {
        let mut pages = store.list_all(&args.address.key, delimiter);
        let mut count = 0;
        let (mut objects, mut bytes) = (0, 0u64);
        while let Some(page) = pages.next().await {
            let page = page?;
            count += page.objects.len() + page.prefixes.len();
            objects += page.objects.len() as u64;
            bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
            match print(&page, cli.json) {
                Ok(()) => {}
                // Whoever reads has seen enough, as with `| head`.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => break,
                Err(source) => {
                    return Err(StoreError::Local {
                        path: "/dev/stdout".into(),
                        action: "write",
                        source,
                    });
                }
            }
        }
        if cli.voice().verbose && !cli.json {
            let objects = human::count(objects, "object");
            say(cli, &format!("{objects}, {}", human::bytes(bytes)));
        }
        Ok(count)
    })?;
    if count == 0 && !args.address.key.is_empty() {
        let text = format!("no key begins with {}; list what is above it", args.address);
        complain(cli, text);
        return Ok(1);
    }
    Ok(0)
}

fn print(page: &Page, as_json: bool) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for prefix in &page.prefixes {
        if as_json {
            writeln!(out, "{}", json!({"schema": 1, "prefix": prefix}))?;
        } else {
            writeln!(out, "{:>14}  {:<20}  {}", "PREFIX", "", shown(prefix))?;
        }
    }
    for object in &page.objects {
        if as_json {
            let record = json!({
                "schema": 1,
                "key": object.key,
                "size": object.size,
                "etag": object.etag,
                "last_modified": object.last_modified,
            });
            writeln!(out, "{record}")?;
        } else {
            let date = object.last_modified.as_deref().unwrap_or("-");
            // Fractions of a second only widen the column.
            let date = date
                .split_once('.')
                .map_or(date.to_owned(), |(whole, _)| format!("{whole}Z"));
            writeln!(
                out,
                "{:>14}  {date:<20}  {}",
                object.size,
                shown(&object.key)
            )?;
        }
    }
    out.flush()
}

/// A key for a terminal, on which control characters must not act.
fn shown(key: &str) -> String {
    key.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_debug().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}
