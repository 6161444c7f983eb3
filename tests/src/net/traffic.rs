//! Everything that must not break, at once: open connections, new ones, and a long download.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_lab::client::RunningLoad;
use lb_lab::server::Content;
use lb_lab::{Lab, Load, Plan};

use super::conversation::Conversation;
use super::download::{Download, LONG_BYTES};
use super::{PATIENCE, STEADY_CHECK, none_failed};

/// Connections that stay open.
pub const OPEN_CONNECTIONS: usize = 200;

/// How far the download goes on whenever one looks.
const STEP_BYTES: u64 = LONG_BYTES / 20;

/// A lab with a service that all servers answer for, and a download long enough.
pub fn standing(plan: Plan) -> Result<Lab> {
    let content = Content {
        big_bytes: LONG_BYTES,
        ..Content::default()
    };
    let mut lab = plan.content(content).build()?;
    lab.balancer.start()?;
    lab.serve("web", STEADY_CHECK)?;
    lab.wait_until_all_serve(PATIENCE).with_context(|| lab.balancer.log())?;
    Ok(lab)
}

/// Traffic without a pause, until it is finished.
pub struct Traffic {
    conversation: Conversation,
    requests: RunningLoad,
    download: Download,
}

impl Traffic {
    /// Starts it, and sees it flow.
    pub fn start(lab: &Lab) -> Result<Self> {
        let held = lab.client.hold(lab.vip(), OPEN_CONNECTIONS)?;
        let load = Load::of(&lab.url("/")).connections(2).pause(Duration::from_millis(5));
        let mut traffic = Self {
            conversation: Conversation::over(held),
            requests: lab.client.start_load(&load)?,
            download: Download::start(lab)?,
        };
        traffic.goes_on(lab, "at first")?;
        Ok(traffic)
    }

    /// Sees that every open connection carries data from now on, that the download gets on, and that new connections are
    /// answered.
    pub fn goes_on(&mut self, lab: &Lab, when: &str) -> Result<()> {
        self.look(lab)
            .with_context(|| format!("{when}; the daemon said:\n{}", lab.balancer.log()))
    }

    fn look(&mut self, lab: &Lab) -> Result<()> {
        self.conversation.wait_for_rounds(3)?;
        self.download.go_on_by(STEP_BYTES)?;
        let load = Load::of(&lab.url("/")).requests(50).connections(5);
        none_failed(&lab.client.load(&load)?)
    }

    /// Ends it; nothing broke at any time.
    pub fn finish(self) -> Result<()> {
        self.conversation.finish()?;
        none_failed(&self.requests.stop()?)?;
        self.download.finish()
    }
}
