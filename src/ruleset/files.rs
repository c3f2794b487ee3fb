//! Finding and reading rule files, and the tables that they name. The only part of the ruleset that touches a disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::load::{Limits, SourceFile};
use super::table;

/// Folders inside folders that are gone into.
const DEPTH_MAX: usize = 8;
/// Files that one call reads.
const FILES_MAX: usize = 10_000;

/// Reads the rule files that `paths` name, in their order. Of a folder: all `*.yaml` and `*.yml` in it and in the folders
/// below, sorted by path; then the tables that they name, as long as these lie in that folder (of a single file: in its own). Rule tests (`*.test.yaml`) and what begins with a dot are passed over. What is no UTF-8 is read
/// with replacement characters, which [`load`](super::load::load) then refuses with a place.
///
/// # Errors
/// A path that does not exist or cannot be read, with its name in the message.
pub fn read_files(paths: &[PathBuf]) -> io::Result<Vec<SourceFile>> {
    read_wanted(paths, |path| !is_test(path))
}

/// Reads the rule tests that `paths` name, as [`read_files`] reads rule files; those are passed over.
///
/// # Errors
/// A path that does not exist or cannot be read, with its name in the message.
pub fn read_tests(paths: &[PathBuf]) -> io::Result<Vec<SourceFile>> {
    read_wanted(paths, is_test)
}

/// Whether a file of this name holds rule tests.
#[must_use]
pub fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

fn read_wanted(paths: &[PathBuf], wanted: fn(&Path) -> bool) -> io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in paths {
        let mut found = Vec::new();
        let is_folder = fs::metadata(path).map_err(|error| named(path, &error))?.is_dir();
        if is_folder {
            walk(path, 0, wanted, &mut found)?;
            found.sort();
        } else if wanted(path) {
            found.push(path.clone());
        }
        let root = if is_folder { path } else { path.parent().unwrap_or(Path::new("")) };
        let rules = found.iter().map(|path| read(path)).collect::<io::Result<Vec<_>>>()?;
        let tables = tables_of(&rules, root);
        files.extend(rules);
        for table in tables {
            let table = read(&table)?;
            if files.iter().all(|file| file.name != table.name) {
                files.push(table);
            }
        }
    }
    Ok(files)
}

/// The tables that rule files name and that are there, sorted. One that is not there is a fault of the rule, and has a place.
fn tables_of(rules: &[SourceFile], root: &Path) -> BTreeSet<PathBuf> {
    let named = rules.iter().flat_map(|file| table::mentioned(&file.text).map(move |path| (Path::new(&file.name), path)));
    let inside = named.filter_map(|(file, path)| table::resolve(file, path)).filter(|path| path.starts_with(root));
    inside.filter(|path| path.is_file()).take(FILES_MAX).collect()
}

fn walk(folder: &Path, depth: usize, wanted: fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| named(folder, &error))? {
        let path = entry.map_err(|error| named(folder, &error))?.path();
        if path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if fs::metadata(&path).map_err(|error| named(&path, &error))?.is_dir() {
            if depth == DEPTH_MAX {
                return Err(io::Error::other(format!("{}: folders are nested too deeply", path.display())));
            }
            walk(&path, depth + 1, wanted, found)?;
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") && wanted(&path) {
            if found.len() == FILES_MAX {
                return Err(io::Error::other(format!("{}: more than {FILES_MAX} files", folder.display())));
            }
            found.push(path);
        }
    }
    Ok(())
}

/// One byte more than the limit at most, so that the limit is noticed and the memory is not taken.
fn read(path: &Path) -> io::Result<SourceFile> {
    let mut bytes = Vec::new();
    let limit = Limits::default().file_bytes_max as u64 + 1;
    let file = File::open(path).map_err(|error| named(path, &error))?;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| named(path, &error))?;
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(SourceFile { name: path.display().to_string(), text })
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_and_tests_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["b.yaml", "a.yml", "a.test.yaml", "notes.txt", ".hidden.yaml", "c/d.yaml", "..data/e.yaml", "single.conf"];
        for name in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x: \xff").unwrap();
        }
        let names = |paths: &[&str]| {
            let paths: Vec<PathBuf> = paths.iter().map(|path| folder.path().join(path)).collect();
            let files = read_files(&paths).map_err(|error| error.kind())?;
            assert!(files.iter().all(|file| file.text == "x: \u{fffd}"));
            let short = |file: &SourceFile| file.name.strip_prefix(&format!("{}/", folder.path().display())).unwrap().to_owned();
            Ok::<_, io::ErrorKind>(files.iter().map(short).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names(&["."]).unwrap(), "./a.yml ./b.yaml ./c/d.yaml");
        assert_eq!(names(&["single.conf", "a.test.yaml", "b.yaml"]).unwrap(), "single.conf b.yaml");
        assert_eq!(names(&["b.yaml", "none.yaml"]), Err(io::ErrorKind::NotFound));
        let tests = read_tests(&[folder.path().to_owned(), folder.path().join("b.yaml")]).unwrap();
        assert_eq!(tests.len(), 1);
        assert!(tests[0].name.ends_with("/a.test.yaml"));
    }

    #[test]
    fn tables_that_are_named_are_read_unless_they_lie_outside() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("rules");
        for (name, text) in [
            ("rules/a.yaml", "{ table: owners.csv } # sub/t.csv ../outside.csv none.csv /etc/x.csv"),
            ("rules/sub/b.yaml", "table: \"../owners.csv\"\ntable: t.csv"),
            ("rules/owners.csv", "x"),
            ("rules/sub/t.csv", "x"),
            ("rules/unnamed.csv", "x"),
            ("outside.csv", "x"),
        ] {
            let path = outer.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let names = |paths: &[PathBuf]| {
            let files = read_files(paths).unwrap();
            let short = |file: &SourceFile| file.name.strip_prefix(&format!("{}/", folder.display())).unwrap().to_owned();
            files.iter().map(short).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(std::slice::from_ref(&folder)), "a.yaml sub/b.yaml owners.csv sub/t.csv");
        assert_eq!(names(&[folder.join("a.yaml")]), "a.yaml owners.csv sub/t.csv");
        assert_eq!(names(&[folder.join("sub/b.yaml")]), "sub/b.yaml sub/t.csv", "of a single file, its own folder");
    }
}
