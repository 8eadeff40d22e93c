//! A run told afterwards, in one page that needs nothing else: [`Story`] is what is known of it,
//! [`page`] makes the page.

mod curves;
mod facts;
mod figures;
mod gantt;
mod histogram;
mod lanes;
mod page;
mod pictures;
mod profile;
mod replayed;
mod story;
mod svg;
mod tables;
mod thumbnail;
mod verdict;
mod whatif;
mod words;

pub use page::page;
pub use story::{
    HeldBack, JobSpan, Note, ObjectSpan, PartSpan, ProcessSpan, RunSpan, Setting, Story, WaitSpan,
};
