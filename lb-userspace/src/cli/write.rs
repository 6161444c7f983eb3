//! What every verb that changes something has in common.

use std::time::Duration;

use crate::core::view::Change;
use crate::edge::client::Call;

use super::Context;
use super::output::Format;

/// How much later than the daemon the client gives up.
const GRACE: Duration = Duration::from_secs(1);

/// Options of every verb that changes something.
#[derive(Clone, Debug, clap::Args)]
pub struct WriteArgs {
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Change something only if the desired state is at this revision
    #[arg(long, value_name = "N")]
    pub if_revision: Option<u64>,
    /// Give up after so long, 30s where no period is given; without it, wait until the change is made
    #[arg(long, value_name = "PERIOD", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
          value_parser = super::parse::period)]
    pub wait: Option<Duration>,
}

impl WriteArgs {
    /// The call with these options.
    fn on(&self, mut call: Call) -> Call {
        let wait = self.wait.map(|wait| format!("wait={}ms", wait.as_millis()));
        let dry_run = self.dry_run.then(|| "dry_run=true".to_owned());
        let query: Vec<String> = [dry_run, wait].into_iter().flatten().collect();
        if !query.is_empty() {
            call.path = format!("{}?{}", call.path, query.join("&"));
        }
        Call {
            if_revision: self.if_revision,
            // The daemon gives up by itself; this is for one that cannot even do that.
            limit: self.wait.map(|wait| wait + GRACE),
            ..call
        }
    }
}

impl Context<'_, '_> {
    /// Has a change made and says what came of it. `done` is what is said of it: `backend web/web-1 added`.
    pub async fn change(self, args: &WriteArgs, call: Call, done: &str) -> anyhow::Result<()> {
        let change: Change = self.client.call(args.on(call)).await?.value;
        for warning in &change.warnings {
            self.screen.warn(warning)?;
        }
        let text = match self.format {
            Format::Json | Format::Jsonl => return self.screen.print_json(&change, self.format),
            Format::Name => format!("{}\n", change.revision),
            Format::Table | Format::Wide => in_words(&change, done),
        };
        Ok(self.screen.print(&text)?)
    }
}

fn in_words(change: &Change, done: &str) -> String {
    let Change {
        revision,
        changed,
        dry_run,
        plan,
        ..
    } = change;
    if !dry_run {
        let what = if *changed { done } else { "unchanged, it is so already" };
        return format!("revision {revision}: {what}\n");
    }
    let plan: String = plan.iter().map(|line| format!("{line}\n")).collect();
    match changed {
        true => format!("{plan}dry run: this would become revision {revision}; nothing was changed\n"),
        false => format!("{plan}dry run: nothing would change, revision {revision} is so already\n"),
    }
}
