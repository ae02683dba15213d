//! The cluster of KUBECONFIG with the operator installed.
//!
//! **Invariant:** the operator comes from `deploy/install.yaml` as users apply it; only the images' names are put in.

use super::{Result, controller};
use kube::{Client, Config};
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Where the operator is installed.
pub const SYSTEM: &str = "restart-controller-system";
const IMAGE_VARIABLES: [(&str, &str); 3] =
    [("restart-controller", "CONTROLLER_IMAGE"), ("restart-sidecar", "SIDECAR_IMAGE"), ("sample", "SAMPLE_IMAGE")];

/// A client and the operator's public key.
pub struct Cluster {
    /// For typed access.
    pub client: Client,
    /// What sidecars must trust, `ID=BASE64`.
    pub public_key: String,
}

impl Cluster {
    /// Connects, installs the operator and waits until it is ready.
    pub async fn with_operator() -> Result<Self> {
        let client = Client::try_from(Config::infer().await?)?;
        let manifest = with_images(&std::fs::read_to_string(path("deploy/install.yaml"))?);
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &manifest).await?;
        controller::ready(&client).await?;
        let public_key = controller::public_key(&client).await?;
        Ok(Self { client, public_key })
    }
}

/// A file of the checkout.
pub fn path(file: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The manifest with the images under test, as `images/names` does it.
pub fn with_images(manifest: &str) -> String {
    IMAGE_VARIABLES.iter().fold(manifest.to_owned(), |text, (program, variable)| match std::env::var(variable) {
        Ok(image) => text.replace(&format!("restart-controller.dev/{program}:{}", env!("CARGO_PKG_VERSION")), &image),
        Err(_) => text,
    })
}

/// Runs kubectl with something on its standard input; returns what it printed.
pub async fn kubectl(arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("kubectl {}: {}", arguments.join(" "), said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
