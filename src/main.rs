//! The binary: it reads its arguments and hands over to the command.

use std::process::ExitCode;

use headgate::cli::{self, Command};
use headgate::cmd;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let exit = match cli.command {
        Command::Check(file) => cmd::check::run(file.path.as_deref()),
        Command::Up(up) => cmd::up::run(&up),
        Command::Proxy(file) => cmd::proxy::run(&file),
        Command::Node(node) => cmd::node::run(&node),
        Command::Drain(drain) => cmd::drain::run(&drain),
        Command::Undrain(undrain) => cmd::drain::run_undrain(&undrain),
    };
    exit.into()
}
