//! What the live view shows, and what keys do to it.

use std::cmp::Reverse;
use std::collections::VecDeque;

use cotec::watch::{Failure, Fetching, Look, Process};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::text::does;

/// How many bandwidths are remembered: more than a screen is wide.
const HISTORY: usize = 400;

/// Which list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Processes and what they do.
    Workers,
    /// Objects on their way.
    Objects,
    /// What failed.
    Failures,
}

/// By what the objects are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Longest on their way first.
    Age,
    /// Most missing first.
    Missing,
    /// By key.
    Name,
}

impl Sort {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Sort::Age => "age",
            Sort::Missing => "bytes missing",
            Sort::Name => "name",
        }
    }
}

/// The state of the view.
#[derive(Debug)]
pub struct App {
    pub look: Look,
    pub history: VecDeque<u64>,
    pub page: Page,
    pub sort: Sort,
    pub filter: String,
    /// The filter is being written.
    pub editing: bool,
    pub top: usize,
}

impl App {
    /// A view of the first look.
    pub fn new(look: Look) -> App {
        App {
            look,
            history: VecDeque::new(),
            page: Page::Workers,
            sort: Sort::Age,
            filter: String::new(),
            editing: false,
            top: 0,
        }
    }

    /// Takes the next look in.
    pub fn see(&mut self, look: Look) {
        self.history.push_back(look.bytes.per_second as u64);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.look = look;
    }

    /// What a key does; false if it ends the view.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return false;
        }
        if self.editing {
            match key.code {
                KeyCode::Enter => self.editing = false,
                KeyCode::Esc => {
                    self.editing = false;
                    self.filter.clear();
                }
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(c) => self.filter.push(c),
                _ => {}
            }
            return true;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('/') => {
                self.editing = true;
                self.top = 0;
            }
            KeyCode::Char('s') => {
                self.sort = match self.sort {
                    Sort::Age => Sort::Missing,
                    Sort::Missing => Sort::Name,
                    Sort::Name => Sort::Age,
                }
            }
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(2),
            KeyCode::Char('w') => self.open(Page::Workers),
            KeyCode::Char('o') => self.open(Page::Objects),
            KeyCode::Char('f') => self.open(Page::Failures),
            KeyCode::Down | KeyCode::Char('j') => self.top = self.top.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top = self.top.saturating_add(10),
            KeyCode::PageUp => self.top = self.top.saturating_sub(10),
            KeyCode::Home => self.top = 0,
            _ => {}
        }
        true
    }

    fn turn(&mut self, by: usize) {
        let pages = [Page::Workers, Page::Objects, Page::Failures];
        let at = pages
            .iter()
            .position(|page| *page == self.page)
            .unwrap_or(0);
        self.open(pages[(at + by) % pages.len()]);
    }

    fn open(&mut self, page: Page) {
        self.page = page;
        self.top = 0;
    }

    fn passes(&self, texts: &[&str]) -> bool {
        let filter = self.filter.to_lowercase();
        filter.is_empty()
            || texts
                .iter()
                .any(|text| text.to_lowercase().contains(&filter))
    }

    /// The processes that pass the filter, workers first.
    pub fn processes(&self) -> Vec<&Process> {
        let all = self.look.processes.iter();
        let mut shown: Vec<_> = all.filter(|p| self.passes(&[p.role, &does(p)])).collect();
        shown.sort_by_key(|p| (p.role != "worker", p.number));
        shown
    }

    /// The objects on their way that pass the filter, sorted.
    pub fn fetching(&self) -> Vec<&Fetching> {
        let all = self.look.fetching.iter();
        let mut shown: Vec<_> = all.filter(|one| self.passes(&[&one.key])).collect();
        match self.sort {
            // They come so.
            Sort::Age => {}
            Sort::Missing => shown.sort_by_key(|one| Reverse(one.size.saturating_sub(one.landed))),
            Sort::Name => shown.sort_by(|a, b| a.key.cmp(&b.key)),
        }
        shown
    }

    /// The failures that pass the filter.
    pub fn failures(&self) -> Vec<&Failure> {
        let all = self.look.failures.iter();
        all.filter(|one| self.passes(&[&one.name, one.fault, &one.error]))
            .collect()
    }
}
