//! Reading an import's file, line by line, on a thread of its own.
//!
//! The thread parses too, which keeps that off the workers. It is not the runtime's: a read from a terminal or a pipe
//! cannot be broken off, and the process must be able to end while one waits.

use super::line::{Line, LineError};
use docket_domain::Actor;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    thread,
};
use tokio::sync::mpsc;

/// The longest line, in bytes: as long as the log's largest command.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// Lines that are handed on together, and looked up together in the log.
const CHUNK_LINES: usize = 512;
/// Bytes that are handed on together, unless a single line is longer.
const CHUNK_BYTES: u64 = MAX_LINE_BYTES;
/// Chunks that are read ahead.
const CHUNKS: usize = 2;
/// Bytes of one read.
const READ_BYTES: usize = 256 * 1024;

/// A line of the file.
pub(super) struct Numbered {
    /// From 1.
    pub(super) number: u64,
    /// With its end.
    pub(super) bytes: u64,
    /// A command, nothing where the line is empty, or what is wrong with it.
    pub(super) line: Result<Option<Line>, LineError>,
}

/// Some lines in the order of the file, or why no more could be read.
pub(super) type Lines = mpsc::Receiver<io::Result<Vec<Numbered>>>;

/// The file, or standard input.
pub(super) struct Source {
    input: Box<dyn Read + Send>,
    size: Option<u64>,
}

impl Source {
    /// Opens the file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, io::Error> {
        if path.as_os_str() == "-" {
            return Ok(Self {
                input: Box::new(io::stdin()),
                size: None,
            });
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        if metadata.is_dir() {
            return Err(named(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            input: Box::new(file),
            // A pipe has no size.
            size: metadata.is_file().then_some(metadata.len()),
        })
    }

    /// How many bytes there are, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Starts to read. The thread ends with the input, or when nobody receives any more.
    pub(super) fn start(self, actor: &Actor) -> Lines {
        let (chunks, lines) = mpsc::channel(CHUNKS);
        let actor = actor.clone();
        thread::spawn(move || {
            let input = BufReader::with_capacity(READ_BYTES, self.input);
            if let Err(error) = read(input, &actor, &chunks) {
                // Nobody receives any more: nobody wants to know.
                let _ = chunks.blocking_send(Err(error));
            }
        });
        lines
    }
}

fn read(
    mut input: BufReader<impl Read>,
    actor: &Actor,
    chunks: &mpsc::Sender<io::Result<Vec<Numbered>>>,
) -> io::Result<()> {
    let (mut text, mut chunk, mut held) = (Vec::new(), Vec::new(), 0);
    for number in 1.. {
        text.clear();
        // One byte more than the limit tells a line that is too long from one that just fits.
        let length = (&mut input)
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut text)? as u64;
        if length == 0 {
            break;
        }
        let (bytes, line) = if length > MAX_LINE_BYTES && text.last() != Some(&b'\n') {
            (length + skip_line(&mut input)?, Err(LineError::TooLong))
        } else {
            (length, Line::parse(&text, actor))
        };
        held += length;
        chunk.push(Numbered { number, bytes, line });
        // What has come is not kept waiting for what may come later.
        if chunk.len() == CHUNK_LINES || held >= CHUNK_BYTES || input.buffer().is_empty() {
            held = 0;
            if chunks.blocking_send(Ok(std::mem::take(&mut chunk))).is_err() {
                return Ok(());
            }
        }
    }
    if !chunk.is_empty() {
        // As above.
        let _ = chunks.blocking_send(Ok(chunk));
    }
    Ok(())
}

/// Passes over the rest of a line that is too long; how many bytes that were.
fn skip_line(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        skipped += used as u64;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_LINE_BYTES, Numbered, read};
    use docket_domain::{Actor, Role};
    use std::io::BufReader;
    use tokio::sync::mpsc;

    fn lines(input: &[u8]) -> Vec<Numbered> {
        let (chunks, mut received) = mpsc::channel(1_000);
        read(
            BufReader::new(input),
            &Actor::new(Role::Operator, "import"),
            &chunks,
        )
        .unwrap();
        drop(chunks);
        let mut all = Vec::new();
        while let Some(chunk) = received.blocking_recv() {
            all.extend(chunk.unwrap());
        }
        all
    }

    #[test]
    fn lines_are_numbered_and_their_bytes_add_up() {
        let long = vec![b'x'; 2 * MAX_LINE_BYTES as usize];
        let input = [b"\n\r\nnonsense\n", long.as_slice(), b"\nlast"].concat();
        let found = lines(&input);
        let said: Vec<_> = found
            .iter()
            .map(|line| {
                (
                    line.number,
                    line.line
                        .as_ref()
                        .map(Option::is_some)
                        .map_err(ToString::to_string),
                )
            })
            .collect();
        assert_eq!(said.len(), 5);
        assert_eq!(said[..2], [(1, Ok(false)), (2, Ok(false))]);
        assert!(said[2].1.as_ref().is_err_and(|said| said.contains("JSON")));
        assert_eq!(said[3], (4, Err("the line is longer than 1 MiB".to_owned())));
        assert!(said[4].1.is_err());
        assert_eq!(
            found.iter().map(|line| line.bytes).sum::<u64>(),
            input.len() as u64
        );
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit() {
        let longest = vec![b' '; MAX_LINE_BYTES as usize];
        for input in [longest.clone(), [longest.as_slice(), b"\n"].concat()] {
            let found = lines(&input);
            assert!(matches!(found[..], [Numbered { line: Ok(None), .. }]));
        }
        let found = lines(&[longest.as_slice(), b" "].concat());
        assert!(matches!(found[..], [Numbered { line: Err(_), .. }]));
    }
}
