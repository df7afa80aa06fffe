//! The manifest of trusted documents that a server runs, read at the start and again when the process is told to.

use std::path::PathBuf;

use tokio::signal::unix::Signal;

use crate::{
    cli::chain,
    config::DocumentSettings,
    graphql::Validator,
    http::{
        Trusted,
        trusted::{Manifest, ManifestError},
    },
};

/// The documents that the settings name, each checked against the schema.
pub(super) fn open(settings: &DocumentSettings) -> Result<Trusted, ManifestError> {
    let Some(file) = settings.file() else {
        return Ok(Trusted::default());
    };
    let validator = Validator::default();
    let manifest = Manifest::read(file, |text| validator.reasons(text))?;
    tracing::info!(
        documents = manifest.len(),
        only = settings.only,
        "the trusted documents are read"
    );
    Ok(Trusted::new(manifest, settings.only))
}

/// Reads the manifest again at each signal; never returns. One that does not fit changes nothing.
pub(super) async fn watch(trusted: Trusted, file: PathBuf, mut told: Signal) {
    while told.recv().await.is_some() {
        let file = file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let validator = Validator::default();
            Manifest::read(&file, |text| validator.reasons(text))
        });
        match read.await {
            Ok(Ok(manifest)) => {
                tracing::info!(documents = manifest.len(), "the new manifest is in use");
                trusted.replace(manifest);
            }
            Ok(Err(error)) => {
                let cause = chain(&error);
                tracing::error!(
                    cause,
                    "THE NEW MANIFEST IS NOT USABLE; the former one stays in use"
                );
            }
            Err(error) => tracing::error!(%error, "the manifest could not be looked at"),
        }
    }
}
