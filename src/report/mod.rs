//! A run told afterwards, in one page that needs nothing else: [`Story`] is what is known of it.

mod story;

pub use story::{
    HeldBack, JobSpan, Note, ObjectSpan, PartSpan, ProcessSpan, RunSpan, Setting, Story, WaitSpan,
};
