//! The `meridian` binary: reads the command line, and hands over to the library.

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
            eprintln!("meridian: {error:#}");
            ExitCode::FAILURE
        }
    }
}
