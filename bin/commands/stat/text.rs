//! A look at a run as lines of text.

use cotec::values::human::{bytes, duration, printable};
use cotec::watch::{Found, Look, Process};

/// What is said of a run whose coordinator was killed.
pub fn killed(run: &Found) -> String {
    let Found { pid, out, .. } = run;
    format!(
        "error: the coordinator {pid} of the run into {out} was killed; the same command goes on \
         where it stopped"
    )
}

/// How far it is: objects, bytes, jobs.
pub fn summary(look: &Look) -> [String; 3] {
    let (o, b, j) = (&look.objects, &look.bytes, &look.jobs);
    let more = if look.phase == "planning" { "+" } else { "" };
    let mut objects = format!("objects {}/{}{more}", o.ready, o.total);
    for (n, what) in [
        (o.fetching, "fetching"),
        (o.wanted, "wanted"),
        (o.evicted, "evicted"),
        (o.failed, "failed"),
    ] {
        if n > 0 {
            objects.push_str(&format!(" · {n} {what}"));
        }
    }
    let how_much = format!(
        "{} of {}{more} · {}/s",
        bytes(b.ready),
        bytes(b.total),
        bytes(b.per_second as u64)
    );
    let mut jobs = format!("jobs {}/{}{more}", j.done, j.total);
    for (n, what) in [
        (j.running, "running"),
        (j.ready, "ready"),
        (j.waiting, "waiting"),
        (j.uploading, "uploading"),
        (j.failed, "failed"),
    ] {
        if n > 0 {
            jobs.push_str(&format!(" · {n} {what}"));
        }
    }
    [objects, how_much, jobs]
}

/// How much of the endpoint's budget is in use; what is in use first, for narrow terminals.
pub fn endpoint(look: &Look) -> Option<String> {
    let endpoint = look.endpoint.as_ref()?;
    let limits = &endpoint.limits;
    let mut parts = Vec::new();
    if let Some(allowed) = limits.connections {
        parts.push(format!("connections {}/{allowed}", endpoint.connections));
        parts.push(format!("{} by all runs", endpoint.connections_of_all));
        if endpoint.waiting > 0 {
            parts.push(format!("{} waiting", endpoint.waiting));
        }
    }
    if let (Some(used), Some(allowed)) = (endpoint.month, limits.bytes_per_month) {
        let (used, allowed) = (bytes(used), bytes(allowed));
        parts.push(format!("{used} of {allowed} this month"));
    }
    if let Some(n) = limits.requests_per_minute {
        parts.push(format!("at most {n} requests a minute"));
    }
    if let Some(n) = limits.bytes_per_second {
        parts.push(format!("at most {}/s", bytes(n)));
    }
    if let Some(n) = limits.bytes_per_connection {
        parts.push(format!("at most {}/s on each", bytes(n)));
    }
    parts.push(printable(&endpoint.name));
    Some(parts.join(" · "))
}

/// All that a person needs of a look, in lines.
pub fn lines(look: &Look) -> String {
    let [objects, bytes_text, jobs] = summary(look);
    let mut text = format!(
        "run {} · {} · {} · into {}\n  {objects}\n  {bytes_text}\n  {jobs}\n",
        look.pid,
        look.phase,
        duration(look.seconds),
        printable(&look.out)
    );
    if let Some(line) = endpoint(look) {
        text.push_str(&format!("  {line}\n"));
    }
    for process in &look.processes {
        let what = does(process);
        text.push_str(&format!("  {} {}: {what}\n", process.role, process.pid));
    }
    for one in look.fetching.iter().take(5) {
        let since = one
            .since
            .map(|s| format!(" for {}", duration(s)))
            .unwrap_or_default();
        text.push_str(&format!(
            "  fetching {}{since}: {} of {}\n",
            printable(&one.key),
            bytes(one.landed),
            bytes(one.size)
        ));
    }
    for failure in &look.failures {
        text.push_str(&format!(
            "  failed: {} {}: {}\n",
            failure.what,
            printable(&failure.name),
            printable(&failure.error)
        ));
    }
    text
}

/// What a process does.
pub fn does(process: &Process) -> String {
    let since = process
        .since
        .map(|s| format!(" for {}", duration(s)))
        .unwrap_or_default();
    match (process.lives, &process.job, process.role) {
        (false, ..) => "has ended".to_owned(),
        (_, Some(job), _) => format!("runs {}{since}", printable(job)),
        (_, None, "worker") => format!("waits for inputs{since}"),
        _ => "works".to_owned(),
    }
}
