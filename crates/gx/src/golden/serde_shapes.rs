//! Every type that serde reads or writes, by the names of its fields and variants and without
//! the name of the type, which may change.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::check;
use super::sources::{is_punct, shipped_sources, text};

/// Says that the names of an enum's variants are not on the wire.
const UNTAGGED: &str = "untagged";

#[test]
fn fields_of_serde_types_are_those_of_the_golden_file() {
    let mut shapes = Vec::new();
    for (_, tokens) in shipped_sources() {
        collect(&tokens, &mut shapes);
    }
    // The macro `named!` has no variants of its own; `names.txt` has those of its enums.
    shapes.retain(|shape| !shape.is_empty());
    shapes.sort();
    check("serde-shapes.txt", &shapes.into_iter().map(|shape| shape + "\n").collect::<String>());
}

#[test]
fn shapes_have_the_names_of_the_wire() {
    let mut shapes = Vec::new();
    let source = r#"
        #[derive(Debug, Serialize)] #[serde(rename_all = "camelCase")]
        pub struct Row { pub tx_id: BTreeMap<String, u64>, #[serde(rename = "is")] kind: Kind,
                         #[serde(skip)] cache: u8 }
        #[derive(Deserialize)]
        #[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
        enum Wait { ForBlock { block_number: u64 }, ForEver }
        #[derive(Debug)] struct Other { left_out: u8 }
        #[derive(Deserialize)] #[serde(untagged)] enum Shape { One(u8), Many { #[serde(flatten)] all: All } }
    "#;
    collect(&source.parse().unwrap(), &mut shapes);
    let wait = r#"tag="kind": FOR_BLOCK { blockNumber } | FOR_EVER"#;
    assert_eq!(shapes, ["{ txId, is }", wait, "untagged: _(…) | _ { flattened }"]);
}

/// Adds the shape of every type with a serde derive, nested modules included.
fn collect(tokens: &TokenStream, shapes: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut attributes: Vec<TokenStream> = Vec::new();
    let mut item: Option<String> = None;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) if at > 0 && is_punct(&trees[at - 1], '#') => {
                attributes.push(group.stream());
            }
            TokenTree::Ident(word) if item.is_none() && (word == "struct" || word == "enum") => {
                item = Some(word.to_string());
            }
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                let rules = Rules::of(&attributes);
                match item.take().as_deref() {
                    Some("struct") if rules.is_serde => {
                        shapes.push(fields(body, rules.all.as_deref()));
                    }
                    Some("enum") if rules.is_serde => shapes.push(variants(body, &rules)),
                    Some(_) => {}
                    None => collect(&body.stream(), shapes),
                }
                attributes.clear();
            }
            TokenTree::Punct(mark) if mark.as_char() == ';' => {
                attributes.clear();
                item = None;
            }
            _ => {}
        }
    }
}

/// The serde attributes of a type, variant or field.
#[derive(Default)]
struct Rules {
    is_serde: bool,
    is_skipped: bool,
    is_flat: bool,
    name: Option<String>,
    all: Option<String>,
    all_fields: Option<String>,
    tags: Vec<String>,
}

impl Rules {
    fn of(attributes: &[TokenStream]) -> Self {
        let mut rules = Self::default();
        for attribute in attributes {
            let trees: Vec<TokenTree> = attribute.clone().into_iter().collect();
            let [TokenTree::Ident(path), TokenTree::Group(list)] = trees.as_slice() else {
                continue;
            };
            let words = list.stream().to_string();
            if path == "derive" {
                rules.is_serde |= words.contains("Serialize") || words.contains("Deserialize");
            }
            if path == "serde" {
                rules.read(&list.stream());
            }
        }
        rules
    }

    fn read(&mut self, list: &TokenStream) {
        let trees: Vec<TokenTree> = list.clone().into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            let TokenTree::Ident(word) = tree else { continue };
            let value = trees.get(at + 2).and_then(text);
            match (word.to_string().as_str(), value) {
                ("rename", value) => self.name = value,
                ("rename_all", value) => self.all = value,
                ("rename_all_fields", value) => self.all_fields = value,
                (word @ ("tag" | "content"), Some(value)) => {
                    self.tags.push(format!("{word}={value:?}"));
                }
                (UNTAGGED, _) => self.tags.push(UNTAGGED.to_owned()),
                ("skip" | "skip_serializing", _) => self.is_skipped = true,
                ("flatten", _) => self.is_flat = true,
                _ => {}
            }
        }
    }
}

/// Returns the fields of a struct or variant, by their names on the wire.
fn fields(body: &Group, rule: Option<&str>) -> String {
    let mut names = Vec::new();
    for part in parts(body) {
        let (attributes, rest) = split_attributes(&part);
        let rules = Rules::of(&attributes);
        let Some(at) = rest.iter().position(|tree| is_punct(tree, ':')) else { continue };
        let TokenTree::Ident(name) = &rest[at - 1] else { continue };
        let name = name.to_string().trim_start_matches("r#").to_owned();
        if !rules.is_skipped {
            let own = rules.name.unwrap_or_else(|| of_field(&name, rule));
            names.push(if rules.is_flat { "flattened".to_owned() } else { own });
        }
    }
    format!("{{ {} }}", names.join(", "))
}

/// Returns the variants of an enum, by their names on the wire.
fn variants(body: &Group, rules: &Rules) -> String {
    let mut found = Vec::new();
    for part in parts(body) {
        let (attributes, rest) = split_attributes(&part);
        let own = Rules::of(&attributes);
        let Some(TokenTree::Ident(name)) = rest.first() else { continue };
        let name = match rules.tags.iter().any(|tag| tag == UNTAGGED) {
            true => "_".to_owned(),
            false => {
                own.name.unwrap_or_else(|| of_variant(&name.to_string(), rules.all.as_deref()))
            }
        };
        found.push(match rest.get(1) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let rule = own.all.as_deref().or(rules.all_fields.as_deref());
                format!("{name} {}", fields(group, rule))
            }
            Some(TokenTree::Group(_)) => format!("{name}(…)"),
            _ => name,
        });
    }
    let tags: String = rules.tags.iter().map(|tag| format!("{tag}: ")).collect();
    format!("{tags}{}", found.join(" | "))
}

/// Cuts the inside of a group at its commas, except those between `<` and `>`.
fn parts(body: &Group) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    let mut depth = 0_i32;
    for tree in body.stream() {
        depth += i32::from(is_punct(&tree, '<')) - i32::from(is_punct(&tree, '>'));
        if depth == 0 && is_punct(&tree, ',') {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(tree);
        }
    }
    parts
}

fn split_attributes(part: &[TokenTree]) -> (Vec<TokenStream>, &[TokenTree]) {
    let mut attributes = Vec::new();
    let mut rest = part;
    while let [hash, TokenTree::Group(group), more @ ..] = rest
        && is_punct(hash, '#')
    {
        attributes.push(group.stream());
        rest = more;
    }
    (attributes, rest)
}

/// Applies serde's `rename_all` to the name of a field.
fn of_field(name: &str, rule: Option<&str>) -> String {
    match rule {
        None | Some("snake_case" | "lowercase") => name.to_owned(),
        Some("camelCase") => camel(name),
        Some("kebab-case") => name.replace('_', "-"),
        Some("SCREAMING_SNAKE_CASE" | "UPPERCASE") => name.to_uppercase(),
        Some(other) => panic!("add the rule {other} here"),
    }
}

/// Applies serde's `rename_all` to the name of a variant.
fn of_variant(name: &str, rule: Option<&str>) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    match rule {
        None => name.to_owned(),
        Some("lowercase") => name.to_lowercase(),
        Some("UPPERCASE") => name.to_uppercase(),
        Some(rule) => of_field(&snake, Some(rule)),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (start, rest) = word.split_at(word.len().min(1));
        text + &start.to_uppercase() + rest
    })
}
