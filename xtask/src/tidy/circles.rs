//! Imports between the modules of a crate go one way. Called by the parent module with all files.
//!
//! A module and the modules in it are one room: only imports between rooms next to each other
//! count. Imports of tests and re-exports do not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Finding;
use crate::error::Error;
use crate::repo::TextFile;
use crate::rust_source::tokens;

/// Limit of the re-exports that are followed to the module that has an item.
const MAX_REEXPORTS: u32 = 8;

/// The names that lead from the crate's root to a module or an item.
type Path = Vec<String>;

/// The paths in one module file.
#[derive(Default)]
struct Module {
    /// Imports and re-exports: the name that an item has here, and its path.
    imports: Vec<(String, Path)>,
    /// The paths of the items that are used, re-exports left out.
    used: Vec<Path>,
}

type Modules = BTreeMap<Path, Module>;
type Edges = BTreeMap<Path, BTreeSet<Path>>;

/// Returns a finding for each circle of imports in a crate.
pub(crate) fn check(files: &[TextFile]) -> Result<Vec<Finding>, Error> {
    let mut crates: BTreeMap<&str, (Modules, Vec<Path>)> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some((folder, inside)) = file.path.split_once("/src/") else { continue };
        let (path, (modules, tests)) = (module_path(inside), crates.entry(folder).or_default());
        let mut words = Vec::new();
        for name in flatten(&tokens(&file.path, &file.text)?, &mut words) {
            tests.push([path.as_slice(), &[name]].concat());
        }
        read(&words, modules.entry(path).or_default());
    }
    let mut findings = Vec::new();
    for (folder, (mut modules, tests)) in crates {
        modules.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        for circle in circles(&edges(&modules)) {
            let names: Vec<_> = circle.iter().map(|path| path.join("::")).collect();
            let message = format!(
                "modules import each other in a circle: {}; move what they share into one of its own",
                names.join(" → ")
            );
            findings.push(Finding::new(folder, message));
        }
    }
    Ok(findings)
}

/// Returns the module of a file, by its path below `src`.
fn module_path(inside: &str) -> Path {
    let mut path: Path = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_root = path.len() == 1 && (path[0] == "lib" || path[0] == "main");
    if is_root || path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

/// Appends the words and marks of a stream, without items that only tests have. Returns the names
/// of the modules among those items.
fn flatten(stream: &TokenStream, words: &mut Vec<String>) -> Vec<String> {
    let (mut tests, mut in_test, mut after_mod) = (Vec::new(), false, false);
    for tree in stream.clone() {
        let text = tree.to_string();
        match &tree {
            TokenTree::Group(group) if in_test => in_test = group.delimiter() != Delimiter::Brace,
            TokenTree::Group(_) if text.replace(' ', "") == "[cfg(test)]" => in_test = true,
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    _ => ("(", ")"),
                };
                words.push(open.to_owned());
                tests.extend(flatten(&group.stream(), words));
                words.push(close.to_owned());
            }
            _ if in_test => {
                in_test = text != ";";
                if after_mod {
                    tests.push(text.clone());
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => words.push(text.clone()),
            TokenTree::Literal(_) => words.push("0".to_owned()),
        }
        after_mod = text == "mod";
    }
    tests
}

/// Reads the paths in the words of a module.
fn read(words: &[String], module: &mut Module) {
    let mut at = 0;
    while at < words.len() {
        let rest = &words[at..];
        if rest[0] == "use" && rest.get(1).is_some_and(|next| next != "<") {
            let end = rest.iter().position(|word| word == ";").unwrap_or(rest.len());
            let mut imports = Vec::new();
            expand(&rest[1..end], &[], &mut imports);
            // `pub` or `pub(crate)`
            if at == 0 || !["pub", ")"].contains(&words[at - 1].as_str()) {
                module.used.extend(imports.iter().map(|(_, path)| path.clone()));
            }
            module.imports.extend(imports);
            at += end;
        } else {
            let path = path_at(rest);
            at += (3 * path.len()).saturating_sub(2).max(1);
            if path.len() > 1 {
                module.used.push(path);
            }
        }
    }
}

/// Returns the names of the path with which these words begin.
fn path_at(words: &[String]) -> Path {
    let (mut path, mut at) = (Path::new(), 0);
    while let Some(name) = words.get(at).filter(|word| is_name(word)) {
        path.push(name.clone());
        let is_longer = words.get(at + 1..at + 3).is_some_and(|marks| marks == [":", ":"]);
        if !is_longer || !words.get(at + 3).is_some_and(|word| is_name(word)) {
            break;
        }
        at += 3;
    }
    path
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Appends the imports of a `use` item, each with its name and its whole path.
fn expand(words: &[String], before: &[String], imports: &mut Vec<(String, Path)>) {
    let mut path = before.to_vec();
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "{" => return each_part(&words[at + 1..words.len() - 1], &path, imports),
            "as" => return imports.push((words[at + 1].clone(), path)),
            "self" if !path.is_empty() => {}
            word if is_name(word) => path.push(word.to_owned()),
            _ => {}
        }
    }
    imports.extend(path.last().cloned().map(|name| (name, path)));
}

/// Expands the parts between the braces of a `use` item.
fn each_part(words: &[String], before: &[String], imports: &mut Vec<(String, Path)>) {
    let mut depth = 0;
    for part in words.split(|word| {
        depth += i32::from(word == "{") - i32::from(word == "}");
        word == "," && depth == 0
    }) {
        if !part.is_empty() {
            expand(part, before, imports);
        }
    }
}

/// Returns for each room the rooms next to it from which it imports. A room is a module with
/// everything in it.
fn edges(modules: &Modules) -> Edges {
    let mut edges = Edges::new();
    for (here, module) in modules {
        for path in module.used.iter().filter_map(|path| absolute(path, here, modules)) {
            let other = owner(&path, modules, MAX_REEXPORTS);
            let shared = here.iter().zip(&other).take_while(|(one, other)| one == other).count();
            if shared < here.len().min(other.len()) {
                let room = edges.entry(here[..=shared].to_vec()).or_default();
                room.insert(other[..=shared].to_vec());
            }
        }
    }
    edges
}

/// Returns a path from the crate's root, or `None` if it leads to another crate.
fn absolute(path: &[String], here: &[String], modules: &Modules) -> Option<Path> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let (base, rest) = match path.first()?.as_str() {
        "crate" => (&[][..], &path[1..]),
        "self" => (here, &path[1..]),
        "super" => (here.get(..here.len().checked_sub(supers)?)?, &path[supers..]),
        name => {
            let child = [here, &[name.to_owned()]].concat();
            modules.contains_key(&child).then_some((here, path))?
        }
    };
    Some([base, rest].concat())
}

/// Returns the module that has an item, behind all re-exports.
fn owner(path: &[String], modules: &Modules, reexports: u32) -> Path {
    let depth = (1..=path.len()).take_while(|length| modules.contains_key(&path[..*length]));
    let (module, item) = path.split_at(depth.last().unwrap_or(0));
    let reexport = item.first().filter(|_| reexports > 0).and_then(|name| {
        let imports = &modules.get(module)?.imports;
        let (_, from) = imports.iter().find(|(known, from)| known == name && from != path)?;
        absolute(from, module, modules)
    });
    match reexport {
        Some(from) => owner(&[&from[..], &item[1..]].concat(), modules, reexports - 1),
        None => module.to_vec(),
    }
}

/// Returns circles that together have every module of a circle. Each begins and ends with the same
/// module.
fn circles(edges: &Edges) -> Vec<Vec<Path>> {
    let mut circles: Vec<Vec<Path>> = Vec::new();
    for start in edges.keys() {
        if !circles.iter().flatten().any(|known| known == start) {
            circles.extend(shortest_circle(start, edges));
        }
    }
    circles
}

/// Returns the shortest circle through a room, or `None` if there is none.
fn shortest_circle(start: &Path, edges: &Edges) -> Option<Vec<Path>> {
    let mut known = BTreeSet::new();
    let mut waiting = VecDeque::from([vec![start.clone()]]);
    while let Some(way) = waiting.pop_front() {
        for next in edges.get(way.last()?).into_iter().flatten() {
            let longer = [way.as_slice(), std::slice::from_ref(next)].concat();
            if next == start {
                return Some(longer);
            }
            if known.insert(next) {
                waiting.push_back(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| TextFile {
            path: format!("crates/x/src/{path}"),
            text: (*text).to_owned(),
        };
        let files: Vec<_> = files.iter().map(file).collect();
        check(&files).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_circle_of_imports_is_found() {
        let room = |inner| {
            findings(&[
                ("lib.rs", "mod a; mod b; mod c; pub use c::f;"),
                ("a.rs", "use std::fmt; use crate::{b::{B, other}, g as h};"),
                ("b/mod.rs", "mod inner; pub struct B;"),
                ("b/inner.rs", inner),
                ("c.rs", "use super::a::A; pub fn f() {}"),
            ])
        };
        assert!(room("fn g() { super::B }").is_empty());
        let expected = "crates/x: modules import each other in a circle: a → b → c → a; move what they share into one of its own";
        assert_eq!(room("fn g() { crate::f() }"), [expected]);
    }

    #[test]
    fn tests_reexports_and_rooms_close_no_circle() {
        let root = ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests;");
        let a = ("a.rs", "use crate::b::B;");
        for b in [
            "#[cfg(test)] mod tests { use crate::a::A; }",
            "#[cfg(test)] use crate::a::A; pub struct B;",
            "pub(crate) use crate::a::A;",
            "fn f() -> impl Fn() + use<> { a::f() }",
        ] {
            assert!(findings(&[root, a, ("b.rs", b)]).is_empty(), "{b}");
        }
        let inside = ("b/c.rs", "use super::B; use crate::b::d::D;");
        let outside = ("b/mod.rs", "mod c; mod d; use self::c::C;");
        assert!(findings(&[root, a, outside, inside]).is_empty());
        assert!(findings(&[root, a, ("b.rs", ""), ("tests.rs", "use crate::a::A;")]).is_empty());
    }

    #[test]
    fn each_circle_is_named_once() {
        let found = findings(&[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::*;"),
            ("b.rs", "use crate::a::A;"),
            ("c.rs", "use crate::d::{self as other};"),
            ("d.rs", "fn f() { vec![crate::c::C] }"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
