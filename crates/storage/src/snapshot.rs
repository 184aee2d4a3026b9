//! One snapshot file: a header, the rows in checksummed blocks, and a trailer that proves it is complete.
//!
//! Layout, numbers big endian. Header: magic, version (u32), length (u32) and bytes of Region and position,
//! CRC-32 of all of it. Block: length (u32, not 0), CRC-32, rows as length, key, length, value. End: length 0,
//! count of rows (u64), bytes in blocks (u64), CRC-32 over all block checksums, CRC-32 of the trailer, magic.
//!
//! Always true: a file that [`SnapshotFile::open`] accepted has its end; one whose rows were read to the end
//! without an error is exactly what was written.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_model::{Partition, Region};
use meridian_state::RegionState;

use crate::codec::Position;
use crate::data_dir::private_file;
use crate::read_ahead::read_ahead;

const MAGIC: &[u8; 8] = b"MRDNSNAP";
const END_MAGIC: &[u8; 8] = b"MRDN END";
const VERSION: u32 = 1;
/// A block is written once it has this many bytes.
const BLOCK_SIZE: usize = 256 * 1024;
/// No block is longer: a block's target plus the largest row.
const BLOCK_MAX: u32 = 16 * 1024 * 1024;
/// Longest header content.
const HEADER_MAX: u32 = 1024 * 1024;
/// Bytes of the trailer behind the final zero length.
const TRAILER: usize = 8 + 8 + 4 + 4 + 8;

/// A complete snapshot file. Clones share the open file, so a reader survives the file's removal.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    file: Arc<File>,
    length: u64,
    region: String,
    position: Position,
    rows: u64,
}

impl SnapshotFile {
    /// Writes `state` to `path` and syncs it. The caller gives the file its final name.
    ///
    /// # Errors
    /// Whatever the file system says; the file is then incomplete.
    pub(crate) fn write(path: &Path, state: &RegionState, position: &Position) -> io::Result<Self> {
        let file = private_file().create(true).truncate(true).open(path)?;
        let mut out = BufWriter::with_capacity(1024 * 1024, &file);
        out.write_all(&header(state.region().as_str(), position))?;
        let mut blocks = BlockWriter {
            out,
            block: Vec::with_capacity(BLOCK_SIZE * 2),
            rows: 0,
            bytes: 0,
            sums: crc32fast::Hasher::new(),
        };
        for (key, value) in state.rows() {
            blocks.row(&key, &value)?;
        }
        blocks.finish()?;
        file.sync_all()?;
        Self::open(path)
    }

    /// Opens a snapshot and checks header and trailer, not the rows.
    ///
    /// # Errors
    /// `InvalidData` if it is incomplete, damaged or of an unknown version.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let (region, position, _) = read_header(&mut BufReader::new(&file))?;
        let trailer_at = length.checked_sub(TRAILER as u64).ok_or_else(|| damaged("it has no end"))?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let rows = read_trailer(&trailer)?.rows;
        Ok(Self { path: path.to_owned(), file: Arc::new(file), length, region, position, rows })
    }

    /// Up to where it reaches.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many rows it holds.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn renamed(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// Bytes of the file from `offset`, at most `bytes_max`; none at the end. Blocks the thread.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn read_chunk(&self, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut chunk = vec![0; left.min(bytes_max)];
        self.file.read_exact_at(&mut chunk, offset)?;
        Ok(chunk)
    }

    /// Reads and checks every byte. Blocks the thread.
    ///
    /// # Errors
    /// `InvalidData` if anything in the file is not what was written.
    pub fn verify(&self) -> io::Result<()> {
        let mut rows = RowReader::new(At { file: &self.file, offset: 0 })?;
        while rows.next_row()?.is_some() {}
        Ok(())
    }

    /// Reads and checks everything, and makes the state of it. Blocks the thread.
    ///
    /// # Errors
    /// `InvalidData` if anything in the file is not what was written, or belongs to another Region.
    pub(crate) fn load(&self, region: &Region, partition: Partition) -> io::Result<RegionState> {
        if self.region != region.as_str() {
            return Err(damaged(&format!("it belongs to {}, not to {region}", self.region)));
        }
        let mut rows = RowReader::new(At { file: &self.file, offset: 0 })?;
        let mut failure = None;
        let checked = std::iter::from_fn(|| {
            rows.next_row().unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
        });
        let state = read_ahead(checked, |rows| RegionState::from_rows(region.clone(), partition, rows));
        match failure {
            Some(error) => Err(error),
            None => state.map_err(|error| damaged(&error.to_string())),
        }
    }
}

struct BlockWriter<W: Write> {
    out: W,
    block: Vec<u8>,
    rows: u64,
    bytes: u64,
    sums: crc32fast::Hasher,
}

impl<W: Write> BlockWriter<W> {
    fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            let length = u32::try_from(part.len()).map_err(|_| damaged("a row is longer than 4 GiB"))?;
            self.block.extend(length.to_be_bytes());
            self.block.extend_from_slice(part);
        }
        self.rows += 1;
        if self.block.len() >= BLOCK_SIZE { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.block.len()).ok().filter(|length| *length <= BLOCK_MAX);
        let checksum = crc32fast::hash(&self.block).to_be_bytes();
        self.out.write_all(&length.ok_or_else(|| damaged("a row is too long"))?.to_be_bytes())?;
        self.out.write_all(&checksum)?;
        self.out.write_all(&self.block)?;
        self.sums.update(&checksum);
        self.bytes += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.end_block()?;
        self.out.write_all(&0_u32.to_be_bytes())?;
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend(self.rows.to_be_bytes());
        trailer.extend(self.bytes.to_be_bytes());
        trailer.extend(self.sums.finalize().to_be_bytes());
        trailer.extend(crc32fast::hash(&trailer).to_be_bytes());
        trailer.extend(END_MAGIC);
        self.out.write_all(&trailer)?;
        self.out.flush()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Trailer {
    rows: u64,
    bytes: u64,
    sums: u32,
}

fn read_trailer(trailer: &[u8; TRAILER]) -> io::Result<Trailer> {
    let (body, rest) = trailer.split_at(20);
    if rest[4..] != *END_MAGIC || rest[..4] != crc32fast::hash(body).to_be_bytes() {
        return Err(damaged("it has no end"));
    }
    let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    let sums = u32::from_be_bytes(body[16..20].try_into().expect("four bytes"));
    Ok(Trailer { rows: number(0), bytes: number(8), sums })
}

fn header(region: &str, position: &Position) -> Vec<u8> {
    let position = position.encode();
    let length = u32::try_from(4 + region.len() + position.len()).expect("a membership of a few nodes");
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_be_bytes());
    header.extend(length.to_be_bytes());
    header.extend(u32::try_from(region.len()).expect("at most 32 characters").to_be_bytes());
    header.extend(region.as_bytes());
    header.extend(position);
    let checksum = crc32fast::hash(&header);
    header.extend(checksum.to_be_bytes());
    header
}

fn read_header(input: &mut impl Read) -> io::Result<(String, Position, u64)> {
    let mut start = [0; 16];
    input.read_exact(&mut start)?;
    let number = |at: usize| u32::from_be_bytes(start[at..at + 4].try_into().expect("four bytes"));
    let (version, length) = (number(8), number(12));
    if start[..8] != *MAGIC {
        return Err(damaged("it is not a snapshot"));
    }
    if version != VERSION {
        return Err(damaged(&format!("it has format version {version}, this build knows {VERSION}")));
    }
    if length > HEADER_MAX {
        return Err(damaged("its header is damaged"));
    }
    let mut body = vec![0; length as usize + 4];
    input.read_exact(&mut body)?;
    let (body, checksum) = body.split_at(length as usize);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&start);
    hasher.update(body);
    if hasher.finalize().to_be_bytes() != checksum {
        return Err(damaged("its header is damaged"));
    }
    let mut rest = body;
    let region = String::from_utf8(take_part(&mut rest)?.to_vec()).map_err(|_| damaged("its header is damaged"))?;
    Ok((region, Position::decode(rest)?, 16 + u64::from(length) + 4))
}

/// Takes a length and that many bytes.
fn take_part<'a>(rest: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let cut = || damaged("a row is cut off");
    let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let (part, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut)?;
    *rest = tail;
    Ok(part)
}

/// Reads a shared file from an offset of its own.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

struct RowReader<R: Read> {
    input: BufReader<R>,
    block: Vec<u8>,
    at: usize,
    seen: Trailer,
    sums: crc32fast::Hasher,
    ended: bool,
}

impl<R: Read> RowReader<R> {
    fn new(input: R) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(1024 * 1024, input);
        read_header(&mut input)?;
        let seen = Trailer { rows: 0, bytes: 0, sums: 0 };
        Ok(Self { input, block: Vec::new(), at: 0, seen, sums: crc32fast::Hasher::new(), ended: false })
    }

    fn next_row(&mut self) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(None);
        }
        let mut rest = &self.block[self.at..];
        let key = take_part(&mut rest)?.to_vec();
        let value = take_part(&mut rest)?.to_vec();
        self.at = self.block.len() - rest.len();
        self.seen.rows += 1;
        Ok(Some((key, value)))
    }

    fn next_block(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let mut word = [0; 4];
        self.input.read_exact(&mut word)?;
        let length = u32::from_be_bytes(word);
        if length == 0 {
            return self.end().map(|()| false);
        }
        if length > BLOCK_MAX {
            return Err(damaged("a block is damaged"));
        }
        let mut checksum = [0; 4];
        self.input.read_exact(&mut checksum)?;
        self.block.resize(length as usize, 0);
        self.input.read_exact(&mut self.block)?;
        if crc32fast::hash(&self.block).to_be_bytes() != checksum {
            return Err(damaged("a block is damaged"));
        }
        self.sums.update(&checksum);
        self.seen.bytes += u64::from(length);
        self.at = 0;
        Ok(true)
    }

    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        let mut trailer = [0; TRAILER];
        self.input.read_exact(&mut trailer)?;
        self.seen.sums = self.sums.clone().finalize();
        let nothing_behind = self.input.read(&mut [0])? == 0;
        if read_trailer(&trailer)? == self.seen && nothing_behind { Ok(()) } else { Err(damaged("it is not complete")) }
    }
}

fn damaged(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}
