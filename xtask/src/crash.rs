//! `cargo xtask crash`: kills layerstone, lets its system calls fail, runs many at once, and checks what is left.
//!
//! Every trial begins with the same directory: the outputs of an earlier image and a cache that knows it. Whatever happens
//! to a command, each output is then what it was or what it becomes, the next run makes what an undisturbed one makes,
//! and it leaves no temporary file. What differs from that is printed, and the task fails.

mod crowd;
mod fault;
mod files;
mod kill;
mod power;
mod scenario;
mod subject;
mod tally;
mod trace;
mod trial;

use anyhow::Result;

/// What is done to the commands.
#[derive(clap::Subcommand)]
pub enum Task {
    /// Kill them at random moments, by time and by system call
    Kill(kill::Options),
    /// Let one system call of each kind fail
    Fault(fault::Options),
    /// Cut the power: what was not synced is lost
    Power(power::Options),
    /// Run many on the same outputs, with the same cache, at the same time
    Crowd(crowd::Options),
}

/// Runs a task and prints its table.
///
/// # Errors
///
/// Something was left that must not be; it is printed before.
pub fn run(task: &Task) -> Result<()> {
    match task {
        Task::Kill(options) => kill::run(options),
        Task::Fault(options) => fault::run(options),
        Task::Power(options) => power::run(options),
        Task::Crowd(options) => crowd::run(options),
    }
}
