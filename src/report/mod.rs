//! A run told afterwards, in one page that needs nothing else: [`Story`] is what is known of it,
//! [`page`] makes the page.

mod facts;
mod figures;
mod page;
mod story;
mod tables;
mod verdict;
mod words;

pub use page::page;
pub use story::{
    HeldBack, JobSpan, Note, ObjectSpan, PartSpan, ProcessSpan, RunSpan, Setting, Story, WaitSpan,
};
