//! Reads a page as a browser would, and fails where a browser would guess.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Elements without an end.
const VOID: [&str; 8] = ["meta", "link", "img", "br", "hr", "input", "col", "wbr"];

/// An element that begins, with its attributes.
#[derive(Debug)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
}

impl Element {
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All elements of a page.
///
/// # Panics
/// If one is not closed, or another is closed in its place, or an attribute makes no sense.
pub fn elements(page: &str) -> Vec<Element> {
    let page = without(without(page.to_owned(), "style"), "script");
    let page = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut open: Vec<String> = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_event().expect("markup") {
            Event::Start(start) => {
                let element = element(&start);
                if !VOID.contains(&element.name.as_str()) {
                    open.push(element.name.clone());
                }
                found.push(element);
            }
            Event::Empty(start) => panic!("<{}/> is no HTML", element(&start).name),
            Event::End(end) => {
                let name = end.name().as_ref().to_owned();
                assert_eq!(open.pop().as_deref(), Some(name.as_str()));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, Vec::<String>::new(), "not closed");
    found
}

/// The same without what an element contains, which is no markup.
fn without(mut page: String, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = page.find(&open).expect("one of it") + open.len();
    let to = page.find(&close).expect("its end");
    page.replace_range(from..to, "");
    assert_eq!(page.matches(&open).count(), 1, "no more than one <{name}>");
    page
}

fn element(start: &BytesStart<'_>) -> Element {
    let mut attributes = Vec::new();
    for attribute in start.html_attributes() {
        let attribute = attribute.expect("an attribute");
        let value = quick_xml::escape::unescape(&attribute.value)
            .expect("an entity")
            .into_owned();
        attributes.push((attribute.key.as_ref().to_owned(), value));
    }
    Element {
        name: start.name().as_ref().to_owned(),
        attributes,
    }
}
