//! Searching files for bytes, in every form in which somebody could have written them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes to search for, and what they are called in reports.
#[derive(Clone, Debug)]
pub struct Pattern {
    name: String,
    bytes: Vec<u8>,
}

/// A pattern that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The pattern's name and form.
    pub pattern: String,
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} at byte {}", self.pattern, self.file.display(), self.offset)
    }
}

/// The bytes by which a search starts looking closer.
const PREFIX: usize = 4;

impl Pattern {
    /// Exactly `bytes`.
    ///
    /// # Panics
    /// If there are fewer than 4: they would be found anywhere.
    #[must_use]
    pub fn exactly(name: impl Into<String>, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= PREFIX, "too short to search for");
        Self { name: name.into(), bytes: bytes.to_vec() }
    }

    /// `bytes` raw, in hexadecimal, as a list of numbers, and in base64 wherever a longer text in base64 holds them.
    ///
    /// # Panics
    /// If there are fewer than 12: their base64 would be too short to search for.
    #[must_use]
    pub fn in_every_form(name: &str, bytes: &[u8]) -> Vec<Self> {
        assert!(bytes.len() >= 12, "too short to search for");
        let numbers = bytes.iter().map(u8::to_string).collect::<Vec<_>>();
        let mut forms = vec![
            Self::exactly(name, bytes),
            Self::exactly(format!("{name} in hex"), hex::encode(bytes).as_bytes()),
            Self::exactly(format!("{name} in HEX"), hex::encode_upper(bytes).as_bytes()),
            Self::exactly(format!("{name} as numbers"), numbers.join(", ").as_bytes()),
            Self::exactly(format!("{name} as numbers without spaces"), numbers.join(",").as_bytes()),
        ];
        for shift in 0..3 {
            for (alphabet, engine) in [("standard", &STANDARD_NO_PAD), ("URL-safe", &URL_SAFE_NO_PAD)] {
                let text = base64_within(engine, bytes, shift);
                forms.push(Self::exactly(format!("{name} in {alphabet} base64 at {shift}"), text.as_bytes()));
            }
        }
        forms
    }
}

/// The characters that stand for `bytes` alone when `shift` other bytes come before them, and others after.
fn base64_within(engine: &impl Engine, bytes: &[u8], shift: usize) -> String {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(bytes);
    let text = engine.encode(&padded);
    // A character stands for 6 bits: the first whole one after the shift, the last whole one before the end.
    let (first, last) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
    text[first..last].to_owned()
}

/// Finds every place below `folder` where one of `patterns` stands, in files that `is_searched` allows.
///
/// # Panics
/// If a file cannot be read.
#[must_use]
pub fn search(folder: &Path, patterns: &[Pattern], is_searched: impl Fn(&Path) -> bool) -> Vec<Found> {
    let index = Index::of(patterns);
    let mut found = Vec::new();
    for file in files_below(folder).into_iter().filter(|file| is_searched(file)) {
        let content = std::fs::read(&file).unwrap_or_else(|error| panic!("reading {}: {error}", file.display()));
        for (offset, pattern) in index.search(&content) {
            found.push(Found { pattern: pattern.name.clone(), file: file.clone(), offset });
        }
    }
    found
}

/// Every file below `folder`.
///
/// # Panics
/// If a folder cannot be read.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("reading {}: {error}", folder.display())) {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Patterns by their first bytes, so that many take hardly longer than one.
struct Index<'a> {
    by_prefix: HashMap<[u8; PREFIX], Vec<&'a Pattern>>,
    /// Whether any pattern begins with these two bytes; answers for nearly every place without a lookup.
    begins: Vec<bool>,
}

impl<'a> Index<'a> {
    fn of(patterns: &'a [Pattern]) -> Self {
        let mut index = Self { by_prefix: HashMap::new(), begins: vec![false; 1 << 16] };
        for pattern in patterns {
            let prefix = pattern.bytes.first_chunk().expect("patterns have at least so many bytes");
            index.by_prefix.entry(*prefix).or_default().push(pattern);
            index.begins[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] = true;
        }
        index
    }

    fn search(&self, content: &[u8]) -> Vec<(usize, &'a Pattern)> {
        let mut found = Vec::new();
        let mut offset = 0;
        // A plain loop: tests are built without optimisation, and files are long.
        while offset + PREFIX <= content.len() {
            if self.begins[(content[offset] as usize) << 8 | content[offset + 1] as usize] {
                let rest = &content[offset..];
                let candidates = rest.first_chunk().and_then(|prefix| self.by_prefix.get(prefix));
                let here = candidates.into_iter().flatten().filter(|pattern| rest.starts_with(&pattern.bytes));
                found.extend(here.map(|pattern| (offset, *pattern)));
            }
            offset += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn names(content: &[u8], patterns: &[Pattern]) -> Vec<String> {
        Index::of(patterns).search(content).into_iter().map(|(_, pattern)| pattern.name.clone()).collect()
    }

    #[test]
    fn secrets_are_found_raw_in_hex_and_within_longer_base64() {
        let secret: Vec<u8> = (0..32).map(|byte| byte * 7 + 3).collect();
        let patterns = Pattern::in_every_form("secret", &secret);
        assert_eq!(names(&[&[1, 2, 3], &secret[..], &[4]].concat(), &patterns), ["secret"]);
        assert_eq!(names(format!("x{}y", hex::encode(&secret)).as_bytes(), &patterns), ["secret in hex"]);
        assert_eq!(names(format!("{secret:?}").as_bytes(), &patterns), ["secret as numbers"]);
        for before in 0..9 {
            for after in 0..5 {
                let longer = [vec![0xaa; before], secret.clone(), vec![0x55; after]].concat();
                let found = names(STANDARD.encode(longer).as_bytes(), &patterns);
                assert!(found.contains(&format!("secret in standard base64 at {}", before % 3)), "{before} {found:?}");
            }
        }
        assert_eq!(names(&[0; 100], &patterns), [""; 0]);
    }

    #[test]
    fn files_are_searched_at_any_depth() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).expect("created");
        std::fs::write(deep.join("file"), b"..needle..").expect("written");
        std::fs::write(folder.path().join("passed-over"), b"needle").expect("written");
        let patterns = [Pattern::exactly("needle", b"needle")];
        let found = search(folder.path(), &patterns, |file| !file.ends_with("passed-over"));
        assert_eq!(found, [Found { pattern: "needle".to_owned(), file: deep.join("file"), offset: 2 }]);
    }
}
