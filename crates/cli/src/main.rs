//! The `meridian` binary: reads the command line, and hands over to the library.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use meridian::commands::{Cli, run};

/// The C library's allocator took a tenth to a fifth of the server's time; see docs/adr.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "meridian: {error:#}"); // if nobody reads it, the exit code says enough
            ExitCode::FAILURE
        }
    }
}
