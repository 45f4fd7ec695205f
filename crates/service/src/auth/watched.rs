//! What is read from files, and read again when they change.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use metrics::counter;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::ConfigError;
use crate::names;

type Contents = Vec<Vec<u8>>;
type Parse<T> = Box<dyn Fn(&Contents) -> Result<T, String> + Send + Sync>;

/// A value made of the contents of files. New contents that cannot be used leave the old value in force.
pub(crate) struct Watched<T> {
    files: Vec<PathBuf>,
    parse: Parse<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Contents>,
}

/// A [`Watched`] of whatever type.
pub(crate) trait Refresh: Send + Sync {
    /// Reads the files again. Blocks for as long as that takes.
    fn refresh(&self);
}

impl<T> Watched<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When one cannot be read, or their contents cannot be used.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        parse: impl Fn(&Contents) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let contents = read(&files).map_err(ConfigError::Invalid)?;
        let first = parse(&contents).map_err(ConfigError::Invalid)?;
        Ok(Self {
            files,
            parse: Box::new(parse),
            current: RwLock::new(Arc::new(first)),
            seen: Mutex::new(contents),
        })
    }

    /// The present value.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Send + Sync> Refresh for Watched<T> {
    fn refresh(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = read(&self.files).and_then(|contents| {
            if contents == *seen {
                return Ok(None);
            }
            // Said once: the same contents are not tried again.
            seen.clone_from(&contents);
            (self.parse)(&contents).map(Some)
        });
        match fresh {
            Ok(None) => {}
            Ok(Some(value)) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
                tracing::info!(files = ?self.files, "read again");
                counter!(names::FILES_RELOADED, "outcome" => "taken").increment(1);
            }
            Err(error) => {
                tracing::warn!(files = ?self.files, error, "cannot be used, what was read before stays in force");
                counter!(names::FILES_RELOADED, "outcome" => "refused").increment(1);
            }
        }
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Contents may be secret.
        f.debug_struct("Watched")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn read(files: &[PathBuf]) -> Result<Contents, String> {
    let contents = files
        .iter()
        .map(|file| std::fs::read(file).map_err(|error| format!("{}: {error}", file.display())));
    contents.collect()
}

/// Looks at all of them every `pause` until `cancel`.
pub(crate) fn spawn(
    watched: Vec<Arc<dyn Refresh>>,
    pause: Duration,
    cancel: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if watched.is_empty() {
            return cancel.cancelled().await;
        }
        let watched = Arc::new(watched);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let watched = Arc::clone(&watched);
            let all = move || watched.iter().for_each(|one| one.refresh());
            let _ = tokio::task::spawn_blocking(all).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_contents_are_taken_if_they_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        let parse = |contents: &Contents| {
            let text = String::from_utf8_lossy(&contents[0]).into_owned();
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        assert!(Watched::new(vec![file.clone()], parse).is_err());
        std::fs::write(&file, "1").unwrap();
        let watched = Watched::new(vec![file.clone()], parse).unwrap();
        assert_eq!(*watched.get(), 1);
        let after = |text: &str| {
            std::fs::write(&file, text).unwrap();
            watched.refresh();
            *watched.get()
        };
        assert_eq!(
            [after("2"), after("x"), after("x"), after("3")],
            [2, 2, 2, 3]
        );
        std::fs::remove_file(&file).unwrap();
        watched.refresh();
        assert_eq!(*watched.get(), 3);
    }
}
