//! Drawing the live view, on whatever room there is.

use cotec::values::human::{bytes, duration, printable};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph, Sparkline};

use super::app::{App, Page};
use super::text::{does, endpoint, summary};

/// Below so many columns there are no frames and no charts.
const NARROW: u16 = 50;
/// Rows of the bandwidth's chart, with its frame.
const CHART: u16 = 6;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let narrow = area.width < NARROW;
    let chart = if narrow || area.height < 18 { 0 } else { CHART };
    let [head, gauge, chart_area, list, keys] = Layout::vertical([
        Constraint::Length(4 + u16::from(app.look.endpoint.is_some())),
        Constraint::Length(u16::from(!narrow)),
        Constraint::Length(chart),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    self::head(frame, head, app, narrow);
    if !narrow {
        self::gauge(frame, gauge, app);
    }
    if chart > 0 {
        self::chart(frame, chart_area, app);
    }
    self::list(frame, list, app, narrow);
    self::keys(frame, keys, app);
}

fn head(frame: &mut Frame<'_>, area: Rect, app: &App, narrow: bool) {
    let look = &app.look;
    let killed = match narrow {
        true => "killed",
        false => "coordinator killed: the same command goes on where it stopped",
    };
    let phase = match look.phase {
        "killed" => Span::styled(
            killed,
            Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        ),
        "ended" => Span::styled("ended", Style::new().fg(Color::Green)),
        phase => Span::raw(phase),
    };
    let title = Line::from(vec![
        Span::styled(
            format!("run {} ", look.pid),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        phase,
        Span::raw(format!(
            " {} {}",
            duration(look.seconds),
            printable(&look.out)
        )),
    ]);
    let mut lines = vec![title];
    lines.extend(summary(look).map(Line::raw));
    lines.extend(endpoint(look).map(Line::raw));
    frame.render_widget(Paragraph::new(lines), area);
}

fn gauge(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let jobs = &app.look.jobs;
    let ended = jobs.done + jobs.failed;
    let share = ended as f64 / jobs.total.max(1) as f64;
    let gauge = Gauge::default()
        .ratio(share.clamp(0.0, 1.0))
        .label(format!("{ended} of {} jobs", jobs.total))
        .gauge_style(Style::new().fg(Color::Blue));
    frame.render_widget(gauge, area);
}

fn chart(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let most = app.history.iter().max().copied().unwrap_or(0);
    let title = format!(" bandwidth, at most {}/s ", bytes(most));
    let block = Block::new().borders(Borders::ALL).title(title);
    let room = usize::from(area.width.saturating_sub(2));
    let skip = app.history.len().saturating_sub(room);
    let data: Vec<u64> = app.history.iter().skip(skip).copied().collect();
    let line = Sparkline::default()
        .block(block)
        .data(&data)
        .style(Style::new().fg(Color::Cyan));
    frame.render_widget(line, area);
}

fn list(frame: &mut Frame<'_>, area: Rect, app: &App, narrow: bool) {
    let frames = if narrow { 0 } else { 2 };
    let width = usize::from(area.width.saturating_sub(frames));
    let (title, rows) = match app.page {
        Page::Workers => ("processes".to_owned(), processes(app, narrow)),
        Page::Objects => {
            let by = app.sort.name();
            let title = match narrow {
                true => format!("objects, by {by}"),
                false => format!("objects on their way, by {by}"),
            };
            (title, objects(app, narrow))
        }
        Page::Failures => {
            let title = format!("{} failed", app.look.failures.len());
            (title, failures(app, width))
        }
    };
    let room = usize::from(area.height).saturating_sub(if narrow { 1 } else { 2 });
    let top = app.top.min(rows.len().saturating_sub(room.max(1)));
    let shown: Vec<Line<'_>> = rows.into_iter().skip(top).take(room).collect();
    if narrow {
        let mut lines = vec![Line::styled(
            title,
            Style::new().add_modifier(Modifier::REVERSED),
        )];
        lines.extend(shown);
        frame.render_widget(Paragraph::new(lines), area);
    } else {
        let block = Block::new()
            .borders(Borders::ALL)
            .title(format!(" {title} "));
        frame.render_widget(Paragraph::new(shown).block(block), area);
    }
}

fn processes(app: &App, narrow: bool) -> Vec<Line<'_>> {
    let rows = app.processes().into_iter().map(|process| {
        let what = does(process);
        let who = match (narrow, process.role) {
            (false, role) => format!("{role:<11} {:>7} ", process.pid),
            // What it does says that it is a worker.
            (true, "worker") => process.pid.to_string(),
            (true, role) => role.to_owned(),
        };
        let style = match (process.lives, &process.job) {
            (false, _) => Style::new().add_modifier(Modifier::DIM),
            (true, Some(_)) => Style::new().fg(Color::Green),
            (true, None) => Style::new(),
        };
        let fetched = match process.bytes {
            0 => String::new(),
            n => format!(" · {} fetched, {} requests", bytes(n), process.requests),
        };
        Line::styled(format!("{who} {what}{fetched}"), style)
    });
    rows.collect()
}

fn objects(app: &App, narrow: bool) -> Vec<Line<'_>> {
    let rows = app.fetching().into_iter().map(|one| {
        if narrow {
            let share = 100 * one.landed.min(one.size) / one.size.max(1);
            let name = one.key.rsplit('/').next().unwrap_or(&one.key);
            return Line::raw(format!("{share:>3}% {}", printable(name)));
        }
        let since = one.since.map_or_else(|| "?".to_owned(), duration);
        Line::raw(format!(
            "{since:>10} {:>8} of {:>8}  {}",
            bytes(one.landed),
            bytes(one.size),
            printable(&one.key)
        ))
    });
    rows.collect()
}

fn failures(app: &App, width: usize) -> Vec<Line<'_>> {
    let rows = app.failures().into_iter().flat_map(|one| {
        let title = format!("{} {} · {}", one.what, printable(&one.name), one.fault);
        let title = Line::styled(title, Style::new().fg(Color::Red));
        let why = format!("{}; {}", printable(&one.error), one.way_out);
        std::iter::once(title).chain(wrapped(&why, width))
    });
    rows.collect()
}

/// Lines of at most `width` columns, indented by two.
fn wrapped(text: &str, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let used = |line: &String| Span::raw(line).width() + 1 + Span::raw(word).width();
        match lines.last_mut().filter(|line| used(line) <= width) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(format!("  {word}")),
        }
    }
    lines.into_iter().map(Line::raw).collect()
}

fn keys(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let text = if app.editing || !app.filter.is_empty() {
        let end = if app.editing { "_" } else { "" };
        format!("/{}{end}", app.filter)
    } else {
        "q quit · w workers · o objects · f failures · s sort · / filter · ↑↓".to_owned()
    };
    let style = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(Line::styled(text, style)), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cotec::store::EndpointProfile;
    use cotec::watch::{EndpointLook, Failure, Fetching, Look, Process};
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn app() -> App {
        let mut look = Look {
            pid: 4711,
            phase: "planned",
            out: "/data/out".into(),
            seconds: 12.3,
            ..Look::default()
        };
        look.jobs.total = 8;
        look.jobs.done = 2;
        look.bytes.per_second = 5e6;
        for (number, job) in [(4, Some("ndvi/P1")), (5, None)] {
            look.processes.push(Process {
                role: "worker",
                number,
                pid: 100 + number,
                lives: true,
                job: job.map(str::to_owned),
                since: Some(1.5),
                bytes: 0,
                requests: 0,
                busy_seconds: 1.0,
            });
        }
        for (key, size, landed) in [("a/old", 10, 9), ("b/large", 100 << 20, 1 << 20)] {
            look.fetching.push(Fetching {
                key: key.into(),
                size,
                landed,
                since: Some(3.0),
            });
        }
        look.failures.push(Failure {
            what: "job",
            name: "ndvi/P2".into(),
            fault: "processor",
            error: "it ended with exit status 3".into(),
            way_out: "see its output",
        });
        App::new(look)
    }

    fn screen(app: &App, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, app)).unwrap();
        terminal.backend().to_string()
    }

    fn press(app: &mut App, keys: &str) -> bool {
        let mut goes_on = true;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                key => KeyCode::Char(key),
            };
            goes_on = app.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        goes_on
    }

    #[test]
    fn workers_objects_and_failures_have_their_pages() {
        let mut app = app();
        app.see(app.look.clone());
        let text = screen(&app, 100, 30);
        for part in [
            "run 4711",
            "runs ndvi/P1 for 1.5 s",
            "waits for inputs",
            "at most 5.0 MB/s",
            "2 of 8 jobs",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(press(&mut app, "o"));
        let text = screen(&app, 100, 30);
        assert!(
            text.find("a/old").unwrap() < text.find("b/large").unwrap(),
            "{text}"
        );
        press(&mut app, "s");
        let text = screen(&app, 100, 30);
        assert!(
            text.find("a/old").unwrap() > text.find("b/large").unwrap(),
            "{text}"
        );
        press(&mut app, "/LARGE\n");
        let text = screen(&app, 100, 30);
        assert!(
            text.contains("b/large") && !text.contains("a/old"),
            "{text}"
        );
        assert!(press(&mut app, "f"));
        app.filter.clear();
        let text = screen(&app, 100, 30);
        assert!(
            text.contains("ndvi/P2 · processor") && text.contains("exit status 3"),
            "{text}"
        );
        assert!(!press(&mut app, "q"));
    }

    #[test]
    fn the_endpoints_budget_stands_below_the_jobs() {
        let mut app = app();
        assert!(!screen(&app, 100, 30).contains("connections"));
        app.look.endpoint = Some(EndpointLook {
            name: "s3.example.org:443".into(),
            limits: EndpointProfile {
                connections: Some(4),
                bytes_per_month: Some(12_000_000_000_000),
                requests_per_minute: Some(2000),
                ..EndpointProfile::default()
            },
            connections: 2,
            connections_of_all: 3,
            waiting: 0,
            month: Some(5_000_000_000),
        });
        let text = screen(&app, 120, 30);
        let line = "connections 2/4 · 3 by all runs · 5.0 GB of 12.0 TB this month · at most 2000 \
                    requests a minute · s3.example.org:443";
        assert!(text.contains(line), "{text}");
        assert!(screen(&app, 20, 24).contains("connections 2/4"));
    }

    #[test]
    fn any_size_of_terminal_will_do() {
        let mut app = app();
        for page in ["w", "o", "f"] {
            press(&mut app, page);
            app.top = 1000;
            for (width, height) in [(1, 1), (20, 5), (20, 24), (49, 3), (200, 2), (300, 100)] {
                screen(&app, width, height);
            }
        }
        let text = screen(&app, 20, 24);
        assert!(
            text.contains("run 4711") && text.contains("jobs 2/8"),
            "{text}"
        );
    }

    #[test]
    fn twenty_columns_show_who_does_what() {
        let mut app = app();
        let text = screen(&app, 20, 24);
        assert!(text.contains("104 runs ndvi/P1 for"), "{text}");
        press(&mut app, "o");
        let text = screen(&app, 20, 24);
        assert!(
            text.contains(" 90% old") && text.contains("  1% large"),
            "{text}"
        );
        press(&mut app, "f");
        let text = screen(&app, 20, 24);
        for part in ["it ended with exit", "status 3; see its", "output"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        app.look.phase = "killed";
        assert!(screen(&app, 20, 24).contains("run 4711 killed"));
    }

    #[test]
    fn a_killed_coordinator_is_said() {
        let mut app = app();
        app.look.phase = "killed";
        assert!(screen(&app, 100, 10).contains("coordinator killed"));
    }
}
