//! Reading a trail from its first file to its last, and proving the chain on the way.
//!
//! Works on a directory at rest and on one that a node is writing to: a half-written last line of the newest file is
//! counted, not called a break, because no answer was sent on its account.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::chain::{Head, Header, Line};

/// What a proven trail holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose trail it is.
    pub node: String,
    /// How many files were read.
    pub files: usize,
    /// How many records were read.
    pub records: u64,
    /// Before the first record read; sequence number 0 unless older files were taken away.
    pub start: Head,
    /// After the last one.
    pub head: Head,
    /// Bytes of a half-written line at the very end.
    pub unfinished_bytes: u64,
}

/// The first place where a trail is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}: {fault}", file.display())]
pub struct Break {
    /// The file.
    pub file: PathBuf,
    /// The line, the header being line 1.
    pub line: u64,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file does not begin with a header that this version knows.
    #[error("no header of a trail")]
    BadHeader,
    /// The header continues another chain than the file before ends with.
    #[error("continues after {found}, but the file before ends at {expected}")]
    Discontinuous {
        /// Where the file before ends.
        expected: Head,
        /// What the header says.
        found: Head,
    },
    /// The line has not the form of a record line.
    #[error("not a record line")]
    MalformedLine,
    /// Records are missing or in the wrong order.
    #[error("record {found} stands where record {expected} belongs")]
    WrongSequence {
        /// The number that belongs here.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// The record, or the chain before it, was changed.
    #[error("the hash of record {sequence} does not match")]
    WrongHash {
        /// The record's number.
        sequence: u64,
    },
    /// The trail does not contain the position that was noted elsewhere: its end was cut off, or everything rewritten.
    #[error("the trail ends at {found} and does not contain {expected}")]
    HeadMissing {
        /// What was noted.
        expected: Head,
        /// Where the trail ends.
        found: Head,
    },
}

/// Why a trail could not be proven.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is broken.
    #[error("the trail is broken")]
    Broken(#[source] Break),
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no trail in the directory.
    #[error("{} holds no trail", directory.display())]
    Empty {
        /// The directory.
        directory: PathBuf,
    },
}

/// Proves the trail in `directory`, and that it contains `noted`, a position kept from earlier.
///
/// # Errors
/// [`VerifyError::Broken`] with the first break; [`VerifyError::Io`] and [`VerifyError::Empty`] if there is nothing to read.
pub fn verify(directory: &Path, noted: Option<Head>) -> Result<Verified, VerifyError> {
    read(directory, noted, |_| ())
}

/// Proves the trail like [`verify`], and shows each record to `visit` once its line is proven.
///
/// # Errors
/// As [`verify`].
pub fn read(directory: &Path, noted: Option<Head>, mut visit: impl FnMut(&Line<'_>)) -> Result<Verified, VerifyError> {
    let files = list_files(directory).map_err(|source| io_error(directory, source))?;
    let mut noted_seen = noted.is_none();
    let mut verified: Option<Verified> = None;
    for (index, path) in files.iter().enumerate() {
        let mut reader = FileReader::open(path).map_err(|source| io_error(path, source))?;
        let header = reader.header().map_err(|source| io_error(path, source))?;
        let Some(header) = header else {
            if reader.at_end() && index + 1 == files.len() {
                break; // created, but not begun
            }
            return Err(broken(path, 1, Fault::BadHeader));
        };
        let total = check_header(path, &header, verified.take())?;
        noted_seen |= noted == Some(total.head);
        let total = read_records(&mut reader, total, |line| {
            noted_seen |= noted == Some(line.head);
            visit(line);
        })?;
        let is_newest = index + 1 == files.len();
        if total.unfinished_bytes > 0 && !is_newest {
            return Err(broken(path, reader.line + 1, Fault::MalformedLine));
        }
        verified = Some(total);
    }
    let verified = verified.ok_or_else(|| VerifyError::Empty { directory: directory.to_owned() })?;
    match (noted, files.last()) {
        (Some(expected), Some(path)) if !noted_seen => {
            Err(broken(path, 0, Fault::HeadMissing { expected, found: verified.head }))
        }
        _ => Ok(verified),
    }
}

fn check_header(path: &Path, header: &Header, before: Option<Verified>) -> Result<Verified, VerifyError> {
    let found = header.previous;
    let Some(before) = before else {
        let genesis = Head::genesis(&header.node);
        if found.sequence == 0 && found != genesis {
            return Err(broken(path, 1, Fault::Discontinuous { expected: genesis, found }));
        }
        let node = header.node.clone();
        return Ok(Verified { node, files: 1, records: 0, start: found, head: found, unfinished_bytes: 0 });
    };
    if found != before.head || header.node != before.node {
        return Err(broken(path, 1, Fault::Discontinuous { expected: before.head, found }));
    }
    Ok(Verified { files: before.files + 1, ..before })
}

fn read_records(
    reader: &mut FileReader,
    mut total: Verified,
    mut visit: impl FnMut(&Line<'_>),
) -> Result<Verified, VerifyError> {
    loop {
        let path = reader.path.clone();
        match reader.next(total.head).map_err(|source| io_error(&path, source))? {
            Step::Record(line) => {
                visit(&line);
                total.head = line.head;
                total.records += 1;
            }
            Step::Fault(fault) => return Err(broken(&path, reader.line, fault)),
            Step::Unfinished(bytes) => return Ok(Verified { unfinished_bytes: bytes, ..total }),
            Step::End => return Ok(total),
        }
    }
}

/// One line further in a file.
pub(crate) enum Step<'a> {
    Record(Line<'a>),
    Fault(Fault),
    /// So many bytes without a line break.
    Unfinished(u64),
    End,
}

/// Reads one file of a trail line by line.
pub(crate) struct FileReader {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    /// The number of the line read last; the header is line 1.
    pub(crate) line: u64,
    /// Where the line read last begins.
    pub(crate) offset: u64,
    next_offset: u64,
}

impl FileReader {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let reader = BufReader::with_capacity(READ_BYTES, File::open(path)?);
        Ok(Self { path: path.to_owned(), reader, buffer: Vec::new(), line: 0, offset: 0, next_offset: 0 })
    }

    /// The header; `None` if the first line is none.
    pub(crate) fn header(&mut self) -> io::Result<Option<Header>> {
        let read = self.read_line()?;
        Ok(if read == LineRead::Line { Header::parse(&self.buffer) } else { None })
    }

    /// Whether the last step found no line break before the end of the file.
    pub(crate) fn at_end(&self) -> bool {
        self.buffer.last() != Some(&b'\n') && (self.buffer.len() as u64) < LINE_BYTES_MAX
    }

    /// The next line, which must continue the chain after `head`.
    pub(crate) fn next(&mut self, head: Head) -> io::Result<Step<'_>> {
        match self.read_line()? {
            LineRead::End if self.buffer.is_empty() => return Ok(Step::End),
            LineRead::End => return Ok(Step::Unfinished(self.buffer.len() as u64)),
            LineRead::TooLong => return Ok(Step::Fault(Fault::MalformedLine)),
            LineRead::Line => {}
        }
        let text = &self.buffer[..self.buffer.len() - 1];
        let Some(line) = Line::parse(text) else { return Ok(Step::Fault(Fault::MalformedLine)) };
        let expected = head.next(line.record);
        if line.head.sequence != expected.sequence {
            let (expected, found) = (expected.sequence, line.head.sequence);
            return Ok(Step::Fault(Fault::WrongSequence { expected, found }));
        }
        if line.head.hash != expected.hash {
            return Ok(Step::Fault(Fault::WrongHash { sequence: expected.sequence }));
        }
        Ok(Step::Record(line))
    }

    /// The line read last, if it has the form of a record line, whatever its hash.
    pub(crate) fn well_formed(&self) -> Option<Head> {
        Line::parse(self.buffer.strip_suffix(b"\n")?).map(|line| line.head)
    }

    /// Goes one line further; false at the end.
    pub(crate) fn skip(&mut self) -> io::Result<bool> {
        Ok(self.read_line()? != LineRead::End)
    }

    fn read_line(&mut self) -> io::Result<LineRead> {
        self.buffer.clear();
        let read = (&mut self.reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer)? as u64;
        self.offset = self.next_offset;
        self.next_offset += read;
        if self.buffer.last() != Some(&b'\n') && read < LINE_BYTES_MAX {
            return Ok(LineRead::End);
        }
        self.line += 1;
        Ok(if self.buffer.last() == Some(&b'\n') { LineRead::Line } else { LineRead::TooLong })
    }
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineRead {
    /// A whole line, with its line break.
    Line,
    /// As much of a line as is ever read at once.
    TooLong,
    /// What stood before the end of the file, without a line break.
    End,
}

/// The files of the trail in `directory`, oldest first.
pub(crate) fn list_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_file_name) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The name of the file whose first record has the number `first`; names sort like numbers.
pub(crate) fn file_name(first: u64) -> String {
    format!("{FILE_PREFIX}{first:020}{FILE_SUFFIX}")
}

fn is_file_name(name: &str) -> bool {
    let number = name.strip_prefix(FILE_PREFIX).and_then(|rest| rest.strip_suffix(FILE_SUFFIX));
    number.is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn broken(path: &Path, line: u64, fault: Fault) -> VerifyError {
    VerifyError::Broken(Break { file: path.to_owned(), line, fault })
}

fn io_error(path: &Path, source: io::Error) -> VerifyError {
    VerifyError::Io { path: path.to_owned(), source }
}

/// Longer than any record that the trail accepts.
pub(crate) const LINE_BYTES_MAX: u64 = 4 << 20;
const READ_BYTES: usize = 256 << 10;
const FILE_PREFIX: &str = "audit-";
const FILE_SUFFIX: &str = ".jsonl";
