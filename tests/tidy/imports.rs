//! Which file uses which: read from `use` declarations and `crate::` paths.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Source, production};

/// The crate paths that a file uses, as segments after `crate`.
pub fn of(source: &Source) -> Vec<Vec<String>> {
    let text = uncommented(production(&source.text));
    let mut found = Vec::new();
    for declaration in text.split(';') {
        let declaration = declaration.trim_start();
        let declaration = declaration
            .rfind("\nuse ")
            .map_or(declaration, |at| &declaration[at + 1..]);
        let declaration = declaration
            .rfind("\npub use ")
            .map_or(declaration, |at| &declaration[at + 1..]);
        let tree = declaration
            .strip_prefix("pub use ")
            .or(declaration.strip_prefix("use "));
        if let Some(tree) = tree {
            expand(tree, &mut Vec::new(), &mut found);
        }
    }
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let end = end.unwrap_or(rest.len());
        if rest[end..].starts_with('{') {
            continue;
        }
        let path = rest[..end].trim_end_matches(':');
        found.push(path.split("::").map(str::to_owned).collect());
    }
    let mut paths: Vec<Vec<String>> = found
        .into_iter()
        .filter_map(|path| absolute(&source.path, path))
        .collect();
    paths.retain(|path| !path.is_empty() && path[0] != "{");
    paths
}

fn uncommented(text: &str) -> String {
    text.lines()
        .map(|l| l.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Takes `a::{b, c::d}` apart.
fn expand(tree: &str, base: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        let segments = path
            .split("::")
            .map(|s| s.trim().to_owned())
            .filter(|s| !s.is_empty());
        found.push(base.iter().cloned().chain(segments).collect());
        return;
    };
    let before: Vec<String> = tree[..open]
        .split("::")
        .map(|s| s.trim().to_owned())
        .filter(|s| !s.is_empty())
        .collect();
    let inside = tree[open + 1..].trim_end().trim_end_matches('}');
    // The last brace closes this one, since declarations end here.
    let depth = base.len();
    base.extend(before);
    let mut level = 0;
    let mut start = 0;
    for (i, c) in inside.char_indices() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            ',' if level == 0 => {
                expand_some(&inside[start..i], base, found);
                start = i + 1;
            }
            _ => {}
        }
    }
    let rest = &inside[start..];
    // Trimming may have taken an inner brace with the outer one.
    let missing = rest
        .matches('{')
        .count()
        .saturating_sub(rest.matches('}').count());
    expand_some(&format!("{rest}{}", "}".repeat(missing)), base, found);
    base.truncate(depth);
}

fn expand_some(tree: &str, base: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if !tree.trim().is_empty() {
        expand(tree, base, found);
    }
}

/// Resolves `crate`, `self` and `super`; `None` for other crates.
fn absolute(file: &str, path: Vec<String>) -> Option<Vec<String>> {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let mut here: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if here.last().is_some_and(|l| l == "mod" || l == "lib") {
        here.pop();
    }
    match path[0].as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some(here.into_iter().chain(path[1..].iter().cloned()).collect()),
        "super" => {
            let ups = path.iter().take_while(|s| *s == "super").count();
            let keep = here.len().saturating_sub(ups);
            Some(
                here.into_iter()
                    .take(keep)
                    .chain(path[ups..].iter().cloned())
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Which file imports from which. A name that a `mod.rs` passes on counts for the file that it
/// comes from; a `mod.rs` that passes names on imports nothing by doing so.
pub fn graph(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let files: BTreeSet<&str> = sources.iter().map(|s| s.path.as_str()).collect();
    let passed: BTreeMap<Vec<String>, Vec<String>> = sources
        .iter()
        .filter(|s| s.path.ends_with("/mod.rs"))
        .flat_map(|source| {
            let inside = source.path["src/".len()..].trim_end_matches("/mod.rs");
            let here: Vec<String> = inside.split('/').map(str::to_owned).collect();
            passed_on(source).into_iter().map(move |(name, from)| {
                let mut path = here.clone();
                path.push(name);
                let mut target = here.clone();
                target.extend(from);
                (path, target)
            })
        })
        .collect();
    let mut graph = BTreeMap::new();
    for source in sources {
        let targets: &mut BTreeSet<String> = graph.entry(source.path.clone()).or_default();
        if source.path.ends_with("/mod.rs") || source.path == "src/lib.rs" {
            continue;
        }
        for mut path in of(source) {
            for _ in 0..4 {
                let known = (1..=path.len()).rev().find_map(|n| passed.get(&path[..n]));
                match known {
                    Some(target) => path = target.clone(),
                    None => break,
                }
            }
            let file = (1..=path.len()).rev().find_map(|n| {
                let base = format!("src/{}", path[..n].join("/"));
                [format!("{base}.rs")]
                    .into_iter()
                    .find(|f| files.contains(f.as_str()))
            });
            targets.extend(file.filter(|file| *file != source.path));
        }
    }
    graph
}

/// The names that a `mod.rs` passes on, each with its path relative to the module.
fn passed_on(source: &Source) -> Vec<(String, Vec<String>)> {
    let text = uncommented(&source.text);
    let mut found = Vec::new();
    for declaration in text.split(';') {
        let Some(at) = declaration.find("use ") else {
            continue;
        };
        let before = declaration[..at].trim_end();
        if before.ends_with("pub")
            || before.ends_with("pub(crate)")
            || before.ends_with("pub(super)")
        {
            expand(&declaration[at + 4..], &mut Vec::new(), &mut found);
        }
    }
    found
        .into_iter()
        .filter_map(|path| {
            let from = if path[0] == "self" {
                path[1..].to_vec()
            } else {
                path
            };
            Some((from.last()?.clone(), from))
        })
        .collect()
}

/// One circle through each file that lies on one, without repeating a circle.
pub fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut seen: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in graph.keys() {
        if let Some(circle) = shortest_back(graph, start)
            && seen.insert(circle.iter().cloned().collect())
        {
            circles.push(circle);
        }
    }
    circles
}

/// The shortest way from a file back to itself.
fn shortest_back(graph: &BTreeMap<String, BTreeSet<String>>, start: &str) -> Option<Vec<String>> {
    let mut ways: Vec<Vec<String>> = vec![vec![start.to_owned()]];
    let mut visited: BTreeSet<String> = BTreeSet::new();
    while !ways.is_empty() {
        let mut next = Vec::new();
        for way in ways {
            for target in graph.get(way.last()?).into_iter().flatten() {
                let mut longer = way.clone();
                longer.push(target.clone());
                if target == start {
                    return Some(longer);
                }
                if visited.insert(target.clone()) {
                    next.push(longer);
                }
            }
        }
        ways = next;
    }
    None
}
