//! The controller's configuration: one YAML file, read again when it changes (DESIGN 4).
//!
//! **Invariant:** a file that is not understood changes nothing; it is named in the log and counted until it is mended.

use super::error::Error;
use super::metrics::Metrics;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the file is looked at: a mounted ConfigMap changes by a link's new target, which no event follows.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    restart: Restart,
}

/// `restart:` in the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Restart {
    /// The wait for a pod's in-flight requests when a request does not say, in seconds.
    pub default_timeout_seconds: i32,
    /// The longest such wait that a request may ask for, in seconds.
    pub max_wait_seconds: i32,
    /// Whether `force: true` is permitted.
    pub enable_force_restart: bool,
    /// Whether ConfigMaps are copied before a restart, and restored when it fails.
    pub backup_config: bool,
    /// The silence asked for before a pod goes when a request does not say, in seconds.
    pub quiet_seconds: i32,
    /// Restarts under way in one namespace; further ones wait.
    pub max_concurrent_per_namespace: u32,
    /// Runs remembered per workload.
    pub history_limit: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            default_timeout_seconds: 30,
            max_wait_seconds: 300,
            enable_force_restart: true,
            backup_config: true,
            quiet_seconds: 2,
            max_concurrent_per_namespace: 10,
            history_limit: 20,
        }
    }
}

impl Restart {
    /// The settings that `text` holds; empty text holds the defaults.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn parse(text: &str) -> Result<Self, String> {
        // An empty document is null, which is no mapping.
        let file: Option<File> = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let settings = file.unwrap_or_default().restart;
        settings.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let bounds = [
            ("defaultTimeoutSeconds", i64::from(self.default_timeout_seconds), 1, i64::from(self.max_wait_seconds)),
            ("maxWaitSeconds", i64::from(self.max_wait_seconds), 1, 86_400),
            ("quietSeconds", i64::from(self.quiet_seconds), 0, 300),
            ("maxConcurrentPerNamespace", i64::from(self.max_concurrent_per_namespace), 1, 10_000),
            // RestartHistory's schema holds no more.
            ("historyLimit", i64::from(self.history_limit), 1, 100),
        ];
        match bounds.iter().find(|(_, value, least, most)| value < least || value > most) {
            Some((field, value, least, most)) => Err(format!("restart.{field} is {value}, must be {least} to {most}")),
            None => Ok(self),
        }
    }
}

/// The settings as they are now.
#[derive(Clone, Debug)]
pub struct Handle {
    current: watch::Receiver<Arc<Restart>>,
}

impl Handle {
    /// Restart that never change.
    #[must_use]
    pub fn fixed(settings: Restart) -> Self {
        Self { current: watch::channel(Arc::new(settings)).1 }
    }

    /// The settings as they are now; a pass takes them once.
    #[must_use]
    pub fn current(&self) -> Arc<Restart> {
        self.current.borrow().clone()
    }
}

/// Reads `file` and follows it for as long as the handle, or a clone of it, lives. Without a file: the defaults.
///
/// # Errors
/// When the file cannot be read or understood now: there is no old one to keep.
pub fn follow(file: Option<PathBuf>, metrics: &Metrics) -> Result<Handle, Error> {
    let Some(file) = file else { return Ok(Handle::fixed(Restart::default())) };
    let text = read(&file).map_err(|why| Error::Startup(format!("configuration {}: {why}", file.display())))?;
    let settings = Restart::parse(&text);
    let settings = settings.map_err(|why| Error::Startup(format!("configuration {}: {why}", file.display())))?;
    let (sender, current) = watch::channel(Arc::new(settings));
    let metrics = metrics.clone();
    tokio::spawn(async move {
        let mut last = Ok(text);
        while !sender.is_closed() {
            tokio::time::sleep(LOOK_EVERY).await;
            last = look_again(&file, &last, &sender, &metrics);
        }
    });
    Ok(Handle { current })
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}

/// Takes the file over if it changed; returns what was read, so that one fault is told once.
fn look_again(
    file: &Path,
    last: &Result<String, String>,
    sender: &watch::Sender<Arc<Restart>>,
    metrics: &Metrics,
) -> Result<String, String> {
    let now = read(file);
    if now == *last {
        return now;
    }
    match now.clone().and_then(|text| Restart::parse(&text)) {
        Ok(settings) => {
            tracing::info!(file = %file.display(), ?settings, "configuration read again");
            metrics.config_reloaded(true);
            sender.send_replace(Arc::new(settings));
        }
        Err(why) => {
            tracing::error!(file = %file.display(), why, "configuration not understood, the old one stays: correct the file");
            metrics.config_reloaded(false);
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_defaults_of_the_design() {
        assert_eq!(Restart::parse(""), Ok(Restart::default()));
        assert_eq!(Restart::parse("restart: {}\n"), Ok(Restart::default()));
    }

    #[test]
    fn every_field_can_be_set() {
        let text = "restart: {defaultTimeoutSeconds: 10, maxWaitSeconds: 60, enableForceRestart: false, backupConfig: false, \
            quietSeconds: 5, maxConcurrentPerNamespace: 3, historyLimit: 7}";
        let settings = Restart::parse(text).unwrap();
        assert_eq!((settings.default_timeout_seconds, settings.max_wait_seconds, settings.quiet_seconds), (10, 60, 5));
        assert_eq!((settings.max_concurrent_per_namespace, settings.history_limit), (3, 7));
        assert!(!settings.enable_force_restart && !settings.backup_config);
    }

    #[test]
    fn an_unknown_field_is_named() {
        assert!(Restart::parse("restart: {maxWait: 3}").is_err_and(|why| why.contains("maxWait")));
        assert!(Restart::parse("restrat: {}").is_err_and(|why| why.contains("restrat")));
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_its_bounds() {
        let why = Restart::parse("restart: {defaultTimeoutSeconds: 400}").unwrap_err();
        assert_eq!(why, "restart.defaultTimeoutSeconds is 400, must be 1 to 300");
        assert!(Restart::parse("restart: {quietSeconds: -1}").is_err());
        assert!(Restart::parse("restart: {historyLimit: 101}").is_err());
    }

    #[test]
    fn a_bad_file_keeps_the_old_settings_and_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        let metrics = Metrics::default();
        let (sender, current) = watch::channel(Arc::new(Restart::default()));
        std::fs::write(&file, "restart: {quietSeconds: 9}").unwrap();
        let last = look_again(&file, &Ok(String::new()), &sender, &metrics);
        assert_eq!(current.borrow().quiet_seconds, 9);
        std::fs::write(&file, "restart: {quietSeconds: many}").unwrap();
        let last = look_again(&file, &last, &sender, &metrics);
        let _ = look_again(&file, &last, &sender, &metrics);
        assert_eq!(current.borrow().quiet_seconds, 9);
        let text = metrics.encoded();
        assert!(text.contains("restart_controller_config_reloads_total{result=\"error\"} 1"), "{text}");
        assert!(text.contains("restart_controller_config_valid 0\n"), "{text}");
        std::fs::write(&file, "restart: {quietSeconds: 5}").unwrap();
        let _ = look_again(&file, &last, &sender, &metrics);
        assert!(metrics.encoded().contains("restart_controller_config_valid 1\n"));
    }

    #[test]
    fn a_link_that_moves_to_another_directory_is_followed_as_the_kubelet_moves_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for (version, quiet) in [("..1", 3), ("..2", 4)] {
            std::fs::create_dir(place(version)).unwrap();
            std::fs::write(place(version).join("config.yaml"), format!("restart: {{quietSeconds: {quiet}}}")).unwrap();
        }
        std::os::unix::fs::symlink("..1", place("..data")).unwrap();
        std::os::unix::fs::symlink("..data/config.yaml", place("config.yaml")).unwrap();
        let (sender, current) = watch::channel(Arc::new(Restart::default()));
        let metrics = Metrics::default();
        let last = look_again(&place("config.yaml"), &Ok(String::new()), &sender, &metrics);
        assert_eq!(current.borrow().quiet_seconds, 3);
        std::os::unix::fs::symlink("..2", place("..data_tmp")).unwrap();
        std::fs::rename(place("..data_tmp"), place("..data")).unwrap();
        let last = look_again(&place("config.yaml"), &last, &sender, &metrics);
        assert_eq!((current.borrow().quiet_seconds, last.is_ok()), (4, true));
    }

    #[test]
    fn a_file_that_goes_away_keeps_the_old_settings() {
        let (sender, current) = watch::channel(Arc::new(Restart { quiet_seconds: 7, ..Restart::default() }));
        let last = look_again(Path::new("no such file"), &Ok(String::new()), &sender, &Metrics::default());
        assert!(last.is_err());
        assert_eq!(current.borrow().quiet_seconds, 7);
    }
}
