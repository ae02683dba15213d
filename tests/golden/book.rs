//! The book in `docs/`: every page is in its contents, every link leads somewhere, every code has its section.
//!
//! **Invariant:** only links within the repository are followed; the network is never asked.

use super::root;
use restart_controller::api::Code;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// What a section about a code says.
const PARTS: [&str; 3] = ["**What happened.**", "**How to see it.**", "**What to do.**"];

#[test]
fn every_page_is_in_the_contents_once() {
    let contents: Vec<String> = links(&read("SUMMARY.md"));
    let listed: BTreeSet<&String> = contents.iter().collect();
    assert_eq!(listed.len(), contents.len(), "docs/SUMMARY.md names a page twice");
    for page in pages().keys().filter(|page| *page != "SUMMARY.md") {
        assert!(listed.contains(page), "docs/SUMMARY.md does not name {page}");
    }
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_exist() {
    let pages = pages();
    let mut broken = vec![];
    for (page, text) in &pages {
        for link in links(text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() { page } else { file };
            let leads = match pages.get(file) {
                Some(text) => anchor.is_empty() || headings(text).contains(anchor),
                None => anchor.is_empty() && root().join("docs").join(file).is_file(),
            };
            if !leads {
                broken.push(format!("docs/{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_code_has_its_section_in_the_troubleshooting() {
    let text = read("troubleshooting.md");
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    for code in Code::ALL {
        let heading = format!("{} {}", code.number(), code.reason());
        let section = sections.iter().find(|section| section.lines().next() == Some(heading.as_str()));
        let section = section.unwrap_or_else(|| panic!("docs/troubleshooting.md has no section `## {heading}`"));
        for part in PARTS {
            assert!(section.contains(part), "docs/troubleshooting.md: {heading} does not say {part}");
        }
    }
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.number()).collect();
    for section in sections.iter().filter(|section| section.starts_with("RESTART_")) {
        assert!(known.contains(&&section[..11]), "there is no code {}", &section[..11]);
    }
}

fn pages() -> BTreeMap<String, String> {
    let files =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter(|name| std::path::Path::new(name).extension().is_some_and(|end| end == "md"))
        .map(|name| (name.clone(), read(&name)))
        .collect()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join("docs").join(page)).unwrap()
}

/// Targets of inline links and pictures, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = vec![];
    for line in prose(text) {
        let code: String = line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "" }).collect();
        found.extend(code.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()));
    }
    found
}

/// As mdBook makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let letter = |letter: char| match letter {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        other if other.is_alphanumeric() => Some(other.to_ascii_lowercase()),
        _ => None,
    };
    titles.map(|title| title.chars().filter_map(letter).collect()).collect()
}

/// Lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}
