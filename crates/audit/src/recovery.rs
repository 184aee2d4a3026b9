//! Opening a trail where the last process left it: continue the chain, set a torn end aside, report damage.
//!
//! Only the newest file is read, because only it can have been written to when the process ended; [`crate::verify()`]
//! proves the others. Always true: nothing is deleted. What does not belong to the chain moves to a file beside it, and
//! a file that is damaged before its end stays as it is, with the chain going on in a new one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::{Head, Header};
use crate::verify::{Break, Fault, FileReader, Step, file_name, list_files};

/// What was found when a trail was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the chain continues.
    pub head: Head,
    /// A last line that a crash cut short, and where its bytes are kept now. It belonged to no answered request.
    pub set_aside: Option<PathBuf>,
    /// Damage before the end of the newest file: records which were written but not yet synced when the machine lost
    /// power, or a hand in the file. [`crate::verify()`] reports it for as long as the file is there.
    pub damage: Option<Damage>,
}

/// Where the newest file was found damaged.
pub type Damage = Break;

/// A file to append to.
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) bytes: u64,
    /// The sequence number in its header: it holds records once the chain is further.
    pub(crate) start: u64,
}

/// What stands at the end of a directory.
pub(crate) struct Opened {
    pub(crate) recovery: Recovery,
    pub(crate) current: OpenFile,
}

/// Why the newest file cannot be continued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error("cannot use {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is the trail of node {found}", path.display())]
    OtherNode { path: PathBuf, found: String },
}

/// Creates `directory` with mode 0700 where it is missing.
pub(crate) fn create_directory(directory: &Path) -> Result<(), RecoverError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(at(directory))
}

/// Continues the trail of `node` in `directory`, or begins it.
pub(crate) fn open(directory: &Path, node: &str) -> Result<Opened, RecoverError> {
    let mut files = list_files(directory).map_err(at(directory))?;
    let mut set_aside = None;
    while let Some(newest) = files.pop() {
        let scan = scan(&newest, node)?;
        match scan {
            Scan::NotBegun => {
                let aside = aside_path(&newest, 0);
                std::fs::rename(&newest, &aside).map_err(at(&newest))?;
                sync_directory(directory).map_err(at(directory))?;
                set_aside = Some(aside);
            }
            Scan::Intact { start, head, good_bytes, torn } => {
                if torn {
                    set_aside = Some(move_tail_aside(&newest, good_bytes).map_err(at(&newest))?);
                }
                let file = append_options().open(&newest).map_err(at(&newest))?;
                let recovery = Recovery { head, set_aside, damage: None };
                return Ok(Opened { recovery, current: OpenFile { file: Arc::new(file), bytes: good_bytes, start } });
            }
            Scan::Damaged { head, damage } => {
                let current = begin_file(directory, node, head).map_err(at(directory))?;
                return Ok(Opened { recovery: Recovery { head, set_aside, damage: Some(damage) }, current });
            }
        }
    }
    let head = Head::genesis(node);
    let current = begin_file(directory, node, head).map_err(at(directory))?;
    Ok(Opened { recovery: Recovery { head, set_aside, damage: None }, current })
}

/// Creates the file that continues after `head`, with its header, and makes both durable.
pub(crate) fn begin_file(directory: &Path, node: &str, head: Head) -> io::Result<OpenFile> {
    let header = Header { node: node.to_owned(), previous: head }.to_line();
    let path = directory.join(file_name(head.sequence + 1));
    let mut file = append_options().create_new(true).open(&path)?;
    let written = file.write_all(&header).and_then(|()| file.sync_data()).and_then(|()| sync_directory(directory));
    if let Err(error) = written {
        std::fs::remove_file(&path)?; // the next attempt creates it anew
        return Err(error);
    }
    Ok(OpenFile { file: Arc::new(file), bytes: header.len() as u64, start: head.sequence })
}

/// What one file turned out to be.
enum Scan {
    /// Not even a header: the process ended while it began the file.
    NotBegun,
    /// The chain holds up to `good_bytes`; if `torn`, the bytes after it are no line.
    Intact { start: u64, head: Head, good_bytes: u64, torn: bool },
    /// The chain breaks, and goes on behind the break up to `head`.
    Damaged { head: Head, damage: Damage },
}

fn scan(path: &Path, node: &str) -> Result<Scan, RecoverError> {
    let mut reader = FileReader::open(path).map_err(at(path))?;
    let Some(header) = reader.header().map_err(at(path))? else {
        let last = last_well_formed(&mut reader).map_err(at(path))?;
        return Ok(last.map_or(Scan::NotBegun, |head| damaged(path, 1, Fault::BadHeader, head)));
    };
    if header.node != node {
        return Err(RecoverError::OtherNode { path: path.to_owned(), found: header.node });
    }
    let mut head = header.previous;
    let start = head.sequence;
    loop {
        let fault = match reader.next(head).map_err(at(path))? {
            Step::Record(line) => {
                head = line.head;
                continue;
            }
            Step::End => return Ok(Scan::Intact { start, head, good_bytes: reader.offset, torn: false }),
            Step::Unfinished(_) => return Ok(Scan::Intact { start, head, good_bytes: reader.offset, torn: true }),
            Step::Fault(fault) => fault,
        };
        let (line, good_bytes) = (reader.line, reader.offset);
        let last = last_well_formed(&mut reader).map_err(at(path))?;
        return Ok(match last {
            Some(last) => damaged(path, line, fault, last),
            None => Scan::Intact { start, head, good_bytes, torn: true },
        });
    }
}

fn damaged(path: &Path, line: u64, fault: Fault, head: Head) -> Scan {
    Scan::Damaged { head, damage: Break { file: path.to_owned(), line, fault } }
}

/// The last line from the current one on that has the form of a record line. None means that a crash cut the file short.
fn last_well_formed(reader: &mut FileReader) -> io::Result<Option<Head>> {
    let mut last = reader.well_formed();
    while reader.skip()? {
        last = reader.well_formed().or(last);
    }
    Ok(last)
}

/// Copies what follows `good_bytes` into a file beside `path`, makes it durable, then cuts it off.
fn move_tail_aside(path: &Path, good_bytes: u64) -> io::Result<PathBuf> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(good_bytes))?;
    let aside = aside_path(path, good_bytes);
    let mut kept = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    io::copy(&mut Read::by_ref(&mut file), &mut kept)?;
    kept.sync_all()?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))?;
    file.set_len(good_bytes)?;
    file.sync_all()?;
    Ok(aside)
}

fn aside_path(path: &Path, offset: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".torn-{offset}"));
    name.into()
}

pub(crate) fn append_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o600);
    options
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RecoverError {
    let path = path.to_owned();
    move |source| RecoverError::Io { path, source }
}
