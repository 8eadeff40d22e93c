//! The live view on a terminal.

use std::time::Instant;

use cotec::table::TableError;
use cotec::watch::Watcher;
use crossterm::event::{self, Event, KeyEventKind};

use super::app::App;
use super::draw::draw;
use super::{EVERY, code, is_over, text};

/// Shows the run until a key ends the view, and how it ended when the run is over. The terminal is
/// as before afterwards.
pub fn run(mut watcher: Watcher) -> Result<u8, TableError> {
    let mut app = App::new(watcher.look()?);
    let mut terminal = ratatui::init();
    let shown = show(&mut terminal, &mut watcher, &mut app);
    ratatui::restore();
    shown?;
    if is_over(&app.look) {
        super::say(&text::lines(&app.look));
    }
    Ok(code(&app.look))
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    watcher: &mut Watcher,
    app: &mut App,
) -> Result<(), TableError> {
    let mut next = Instant::now() + watcher.rest(EVERY);
    loop {
        // A terminal that is gone needs no picture.
        if terminal.draw(|frame| draw(frame, app)).is_err() {
            return Ok(());
        }
        let left = next.saturating_duration_since(Instant::now());
        match event::poll(left.min(EVERY)) {
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if !app.key(key) {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(_) => return Ok(()),
            },
            Ok(false) => {}
            Err(_) => return Ok(()),
        }
        if Instant::now() >= next || watcher.is_over()? {
            app.see(watcher.look()?);
            next = Instant::now() + watcher.rest(EVERY);
            if is_over(&app.look) {
                return Ok(());
            }
        }
    }
}
