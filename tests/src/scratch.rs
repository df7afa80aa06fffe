//! A folder for one test, on the normal disk and where the private server's user gets in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::shared_cluster;

/// A folder that is removed with the handle, unless the test is failing; the keeper then stops what runs in it.
pub fn scratch(name: &str) -> Scratch {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // The keeper takes down what a failing test leaves behind, so there must be one.
    shared_cluster::addresses();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Scratch(shared_cluster::run_dir().join(format!("{name}-{}-{number}", std::process::id())))
}

/// One test's folder. It does not exist before somebody makes it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What is left goes with the keeper.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
