//! What damage begins from.

use std::fs;
use std::path::Path;

/// Two packages compile this file, and the one of `fuzz/` lies a folder deeper.
fn repository() -> &'static Path {
    let above = |folder: &&Path| folder.join("tests/golden").is_dir();
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(above).expect("it is built inside the repository")
}

/// The files below a folder, or one file, whose names end so, in order of name.
pub(super) fn files(place: &str, endings: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    collect(&repository().join(place), endings, &mut found);
    found.sort();
    found
}

fn collect(path: &Path, endings: &[&str], found: &mut Vec<(String, Vec<u8>)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), endings, found);
        }
    } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
        let name = path.strip_prefix(repository()).unwrap().to_string_lossy().replace('/', "-");
        found.push((name, fs::read(path).unwrap()));
    }
}

/// As [`files`], without the names.
pub(super) fn texts(place: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    files(place, endings).into_iter().map(|(_, text)| text).collect()
}

/// The inputs that once made a fault in a target.
pub(super) fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let place = format!("tests/golden/fuzz/{target}");
    if repository().join(&place).is_dir() { files(&place, &[""]) } else { Vec::new() }
}

/// The lines of some files from which `pick` takes a piece, each piece once.
pub(super) fn pieces(files: &[Vec<u8>], pick: impl Fn(&str) -> Option<&str>) -> Vec<Vec<u8>> {
    let texts: Vec<String> = files.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let mut pieces: Vec<Vec<u8>> =
        texts.iter().flat_map(|text| text.lines()).filter_map(pick).map(|piece| piece.as_bytes().to_vec()).collect();
    pieces.sort();
    pieces.dedup();
    pieces
}
