//! `docket token`: a token is shown once, and only its hash is kept.

use crate::{app::Database, auth, config::Config};
use clap::{Args, Subcommand};
use docket_domain::Role;
use serde_json::json;
use std::{error::Error, time::Duration};
use uuid::Uuid;

/// `docket token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token.
    Create {
        /// What it allows: customer, staff, operator, service, gateway.
        #[arg(long)]
        role: Role,
        /// Whom events name: a customer's id, a member of staff, a gateway's name.
        #[arg(long)]
        actor: String,
        /// What it is for, to tell it from others.
        #[arg(long, default_value = "")]
        label: String,
        /// Days until it ends.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
    /// End a token.
    Revoke {
        /// Its id, as `create` printed it.
        id: Uuid,
    },
}

pub(crate) async fn run(config: &Config, args: &TokenArgs, json: bool) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let outcome = act(&store, &args.action, json).await;
    store.close().await;
    database.close().await?;
    outcome
}

async fn act(store: &docket_event_store::Store, action: &Action, json: bool) -> Result<(), Box<dyn Error>> {
    match action {
        Action::Create {
            role,
            actor,
            label,
            days,
        } => {
            let lifetime = Duration::from_secs(days * 24 * 3600);
            let token = auth::create_token(store.pool(), *role, actor, label, lifetime).await?;
            if json {
                println!(
                    "{}",
                    json!({"id": token.id, "token": token.text, "role": role, "actor": actor})
                );
            } else {
                println!("{}", token.text);
                eprintln!("Token {} for {role} {actor}. It is not shown again.", token.id);
            }
        }
        Action::Revoke { id } => {
            if !auth::revoke_token(store.pool(), *id).await? {
                return Err(format!("there is no living token {id}").into());
            }
            if json {
                println!("{}", json!({"revoked": id}));
            } else {
                println!("Token {id} is revoked.");
            }
        }
    }
    Ok(())
}
