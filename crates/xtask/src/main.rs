//! Project tasks: `cargo verify` (everything CI runs) and `cargo image` (the container image).
//!
//! Tasks check and build; none of them rewrites a file of the tree. What they make stays below `target/`.

mod arrows;
mod command;
mod counts;
mod image;
mod python;
mod tools;
mod verify;
mod workspace;

use clap::{Parser, Subcommand};

/// Project tasks of Meridian.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks everything that CI checks, in order, and stops at the first step that fails.
    Verify(verify::Options),
    /// Builds the static binary and stages it as the container image; pulls nothing.
    Image(image::Options),
}

fn main() -> std::process::ExitCode {
    let result = match Arguments::parse().task {
        Task::Verify(options) => verify::run(&options),
        Task::Image(options) => image::build(&options).map(|()| true),
    };
    match result {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
