//! What `docket` understands on the command line. `--data-dir` and `DATABASE_URL` mean the same to every verb.

use crate::{
    bench::BenchArgs,
    config::Config,
    telemetry,
    verbs::{
        self,
        dead_letters::DeadLettersArgs,
        events::EventsArgs,
        forget::ForgetArgs,
        import::ImportArgs,
        projections::ProjectionsArgs,
        rebuild::{ReadModelArgs, RebuildArgs},
        seed::SeedArgs,
        serve::ServeArgs,
        terminal,
        token::TokenArgs,
    },
};
use clap::{Args, Parser, Subcommand};
use docket_projections::rebuild::Wish;
use std::{
    error::Error,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

/// The order desk of a shop, event-sourced.
#[derive(Debug, Parser)]
#[command(
    name = "docket",
    version,
    about = "The order desk of a shop, event-sourced.",
    propagate_version = true
)]
pub struct Cli {
    /// Where, and how it is said.
    #[command(flatten)]
    pub options: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Args)]
pub struct GlobalOptions {
    /// The folder of the private PostgreSQL that is used without DATABASE_URL [default: under the XDG state folder].
    #[arg(long, global = true, help_heading = "Global options", env = "DOCKET_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// A PostgreSQL to use instead of a private one.
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        env = "DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// A configuration file; `docs/docket.toml` shows every setting with its default.
    #[arg(long, global = true, help_heading = "Global options", env = "DOCKET_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print for a program to read: JSON, a line a thing.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve the GraphQL API.
    Serve(ServeArgs),
    /// Create or upgrade the database.
    Migrate,
    /// Print the GraphQL schema; needs no database.
    Schema,
    /// Make or revoke tokens.
    Token(TokenArgs),
    /// Bring commands in from a file of newline-delimited JSON.
    Import(ImportArgs),
    /// Fill the log with a shop's history that was made up.
    Seed(SeedArgs),
    /// Check the log, its streams, and every read model against the fold.
    Verify,
    /// Show how every read model fares: how far it is, how fast, and why it does not move where it does not.
    Projections(ProjectionsArgs),
    /// Build a read model anew from the log, beside the one that is served, and serve it in its place.
    Rebuild(RebuildArgs),
    /// Serve the generation of a read model again that was served before.
    Rollback(ReadModelArgs),
    /// Let a rebuild wait.
    Pause(ReadModelArgs),
    /// Let a rebuild that waits go on.
    Resume(ReadModelArgs),
    /// Call a rebuild off; nothing of it is left.
    Cancel(ReadModelArgs),
    /// See what could not be applied to a read model, try it again, or have it passed over.
    DeadLetters(DeadLettersArgs),
    /// Print the log.
    Events(EventsArgs),
    /// Destroy the key of a person's data.
    Forget(ForgetArgs),
    /// Measure the log on this server, in databases of its own.
    Bench(BenchArgs),
}

/// Runs one verb; what fails is printed with its causes, and the exit status is 1.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match Config::load(&cli.options) {
        Ok(config) => dispatch(cli.verb, config, cli.options.json).await,
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let why = terminal::plain_lines(&chain(error.as_ref()));
            // There is nowhere left to say that this cannot be said.
            let _ = writeln!(io::stderr(), "docket: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(verb: Verb, config: Config, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    telemetry::start(matches!(verb, Verb::Serve(_)), json);
    match verb {
        Verb::Serve(args) => verbs::serve::run(config, args, json).await?,
        Verb::Migrate => verbs::migrate::run(&config, json).await?,
        Verb::Schema => print!("{}", crate::graphql::sdl()),
        Verb::Token(args) => verbs::token::run(&config, &args, json).await?,
        Verb::Import(args) => return verbs::import::run(&config, &args, json).await,
        Verb::Seed(args) => return verbs::seed::run(&config, &args, json).await,
        Verb::Verify => return verbs::verify::run(&config, json).await,
        Verb::Projections(args) => verbs::projections::run(&config, &args, json).await?,
        Verb::Rebuild(args) => return verbs::rebuild::run(&config, &args, json).await,
        Verb::Rollback(args) => verbs::rebuild::rollback(&config, &args, json).await?,
        Verb::Pause(args) => verbs::rebuild::wish(&config, &args, Wish::Pause, json).await?,
        Verb::Resume(args) => verbs::rebuild::wish(&config, &args, Wish::Run, json).await?,
        Verb::Cancel(args) => verbs::rebuild::wish(&config, &args, Wish::Cancel, json).await?,
        Verb::DeadLetters(args) => return verbs::dead_letters::run(&config, &args, json).await,
        Verb::Events(args) => verbs::events::run(&config, &args, json).await?,
        Verb::Forget(args) => return verbs::forget::run(&config, &args, json).await,
        Verb::Bench(args) => verbs::bench::run(&config, &args, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An error and what caused it, on one line; a cause that its parent already tells is not told twice.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
