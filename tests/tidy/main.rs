//! The house rules, held by a test: floors, circles, `unsafe`, panics, sizes, and documents that
//! name what exists.

#![allow(clippy::unwrap_used)]

mod imports;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cotec::values::FaultCode;
use tree::{Source, production, root, sources};

/// The floors, from the ground up. Modules of one floor do not import each other.
const FLOORS: [&[&str]; 8] = [
    &["values"],
    &["sys"],
    &["table", "store"],
    &["raster", "task", "schedule"],
    &["plan", "fetch", "work", "upload", "report"],
    &["watch"],
    &["coord"],
    &["cli"],
];

/// No file does so many things that it needs more lines.
const MOST_LINES: usize = 600;

fn floor(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|modules| modules.contains(&module))
        .unwrap_or_else(|| panic!("src/{module} is on no floor: add it to FLOORS"))
}

fn fail(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn imports_go_down_the_floors() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let Some(module) = source.module() else {
            continue;
        };
        for import in imports::of(&source) {
            let Some(other) = import
                .first()
                .filter(|_| import.len() > 1 || import[0] != module)
            else {
                continue;
            };
            if other != &module && floor(other) >= floor(&module) {
                wrong.push(format!(
                    "{} imports crate::{}",
                    source.path,
                    import.join("::")
                ));
            }
        }
    }
    fail("a file imports from lower floors only", &wrong);
}

#[test]
fn no_circles_between_files() {
    let sources = sources("src");
    let graph = imports::graph(&sources);
    let circles = imports::circles(&graph);
    let shown: Vec<String> = circles.iter().map(|c| c.join(" -> ")).collect();
    fail("files import each other in a circle", &shown);
}

#[test]
fn the_import_reader_sees_what_it_should() {
    let text = "use crate::a::b::{C, d::{e, F as G}};\nuse super::x;\nfn f() { crate::q::r(); }\n";
    let source = Source {
        path: "src/m/n.rs".into(),
        text: text.into(),
    };
    let found: BTreeSet<String> = imports::of(&source)
        .into_iter()
        .map(|path| path.join("::"))
        .collect();
    let expected = ["a::b::C", "a::b::d::e", "a::b::d::F", "m::x", "q::r"];
    assert_eq!(found, expected.map(str::to_owned).into());
    let edges = |pairs: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            graph
                .entry((*from).into())
                .or_default()
                .insert((*to).into());
            graph.entry((*to).into()).or_default();
        }
        graph
    };
    assert!(imports::circles(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(
        imports::circles(&edges(&[("a", "b"), ("b", "c"), ("c", "a")])).len(),
        1
    );
}

#[test]
fn unsafe_stands_in_sys_alone_and_says_why() {
    let mut wrong = Vec::new();
    for source in sources("src").into_iter().chain(sources("bin")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words: Vec<&str> = code
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            if !words.contains(&"unsafe") {
                continue;
            }
            let reason = lines[i.saturating_sub(8)..i]
                .iter()
                .any(|l| l.contains("// SAFETY:"));
            if !source.path.starts_with("src/sys/") || !reason {
                wrong.push(format!("{}:{}", source.path, i + 1));
            }
        }
    }
    fail("unsafe belongs into src/sys, under a SAFETY reason", &wrong);
}

#[test]
fn production_code_does_not_panic_on_purpose() {
    let calls = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
    ];
    let mut wrong = Vec::new();
    for source in sources("src").into_iter().chain(sources("bin")) {
        for (i, line) in production(&source.text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if calls.iter().any(|call| code.contains(call)) {
                wrong.push(format!("{}:{}: {}", source.path, i + 1, line.trim()));
            }
        }
    }
    fail("errors are values", &wrong);
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    for source in sources("src")
        .into_iter()
        .chain(sources("bin"))
        .chain(sources("tests"))
    {
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
        if !source.text.starts_with("//!") {
            wrong.push(format!(
                "{}: no line at its top says what it is for",
                source.path
            ));
        }
        for mark in [
            "TODO",
            "FIXME",
            "XXX",
            "allow(dead_code",
            "allow(unused",
            "#[ignore",
        ] {
            let here = source.path == "tests/tidy/main.rs";
            if !here && source.text.contains(mark) {
                wrong.push(format!("{}: {mark}", source.path));
            }
        }
    }
    fail(
        "small files with one purpose, and nothing left for later",
        &wrong,
    );
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "bin",
        "tests",
        "benches",
        "tools",
        "examples",
        "docs",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "clippy.toml",
    ];
    // What building and running here leave behind is in .gitignore, with the dot files.
    let made = ["target", "out", "staging"];
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = agreed.contains(&name.as_str()) || made.contains(&name.as_str());
        if !known && !name.starts_with('.') {
            wrong.push(name);
        }
    }
    fail("the top level holds nothing else", &wrong);
}

#[test]
fn each_dependency_has_its_reason() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let reasons = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let mut wrong = Vec::new();
    for section in ["dependencies", "dev-dependencies"] {
        for name in manifest[section].as_table().unwrap().keys() {
            if !reasons.contains(&format!("| `{name}` |")) {
                wrong.push(format!("{name} ({section})"));
            }
        }
    }
    for line in reasons.lines().filter(|line| line.starts_with("| `")) {
        let name = line.split('`').nth(1).unwrap();
        let known = ["dependencies", "dev-dependencies"]
            .iter()
            .any(|section| manifest[*section].as_table().unwrap().contains_key(name));
        if !known {
            wrong.push(format!("{name} stands in docs/dependencies.md and is none"));
        }
    }
    fail(
        "docs/dependencies.md says what each dependency is for",
        &wrong,
    );
}

/// The tests that a page names, as `path::name`, and those among them that do not exist.
fn named_tests(page: &str) -> (Vec<(&str, &str)>, Vec<String>) {
    let words = page.split('`').filter(|word| word.contains(".rs::"));
    let named: Vec<_> = words.filter_map(|word| word.split_once("::")).collect();
    let there = |(path, test): &(&str, &str)| {
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        text.contains(&format!("fn {test}(")) || text.contains(&format!("\"{test}\""))
    };
    let absent = named.iter().filter(|named| !there(named));
    let absent = absent
        .map(|(path, test)| format!("{path}::{test}"))
        .collect();
    (named, absent)
}

#[test]
fn each_promise_names_a_test_that_exists() {
    let promises = fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let (named, absent) = named_tests(&promises);
    assert!(
        named.len() > 10,
        "the page names only {} tests",
        named.len()
    );
    fail("docs/promises.md names tests that are there", &absent);
}

#[test]
fn each_fault_has_its_section_its_way_out_and_its_test() {
    let page = fs::read_to_string(root().join("docs/faults.md")).unwrap();
    let mut sections: BTreeMap<&str, &str> = BTreeMap::new();
    for section in page.split("\n## `").skip(1) {
        let (name, text) = section.split_once('`').unwrap();
        sections.insert(name, text);
    }
    let mut wrong = Vec::new();
    for code in FaultCode::ALL {
        let name = code.name();
        let Some(text) = sections.remove(name) else {
            wrong.push(format!("{name} has no section"));
            continue;
        };
        for item in ["on", "detail", "exit code", "what to do", "produced by"] {
            if !text.contains(&format!("\n- {item}: ")) {
                wrong.push(format!("{name}: no line says {item:?}"));
            }
        }
        if !text.contains(code.way_out()) {
            wrong.push(format!("{name}: the way out is {:?}", code.way_out()));
        }
        let (named, absent) = named_tests(text);
        wrong.extend(absent.iter().map(|test| format!("{name}: no {test}")));
        // What is to produce a code has to look for it.
        let says = |(path, _): &(&str, &str)| {
            let test = fs::read_to_string(root().join(path)).unwrap_or_default();
            test.contains(&format!("\"{name}\""))
        };
        if named.is_empty() || !named.iter().all(says) {
            wrong.push(format!("{name}: a test that looks for it is to be named"));
        }
    }
    wrong.extend(sections.keys().map(|name| format!("{name} is no fault")));
    fail("docs/faults.md says what each fault is", &wrong);
}
