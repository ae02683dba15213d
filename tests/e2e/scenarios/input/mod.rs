//! Bad input and other cases without load: a clear error, and nothing touched.
//!
//! **Invariant:** "nothing touched" is compared down to the resourceVersion of pods and ConfigMaps.

pub mod capacity;
pub mod configuration;
pub mod lifecycle;
pub mod lock;
pub mod queue;
pub mod schema;
pub mod sidecar;
pub mod target;
pub mod time_to_live;
pub mod trigger;

use crate::support::app::App;
use crate::support::figures::Figures;
use crate::support::request::Request;
use crate::support::{Result, ensure};
use restart_controller::api::Code;
use serde_json::Value;

/// A request for the app that the controller must refuse with this code and a message that has these words.
pub async fn refused(app: &App<'_>, more: Value, code: Code, words: &[&str]) -> Result<Figures> {
    let before = app.untouched().await?;
    let request = Request::apply(app.space, "bad", app.name, more).await?;
    let status = request.failed(code, 40).await?;
    for word in words {
        ensure!(status.message.contains(word), "the message does not name {word:?}: {}", status.message);
    }
    let after = app.untouched().await?;
    ensure!(before == after, "something was touched:\nbefore {before}\nafter  {after}");
    Ok(Figures::note(format!("{}: {}", code.number(), status.message)))
}
