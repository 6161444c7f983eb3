//! Saying things, and running `lb` where it can be seen.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lb_lab::{Lab, program};

const BOLD: &str = "1";
const CYAN: &str = "36";

/// A scene: its heading, and what it shows. What it returns is what it has proved, for the closing summary.
pub fn scene(title: &str, play: impl FnOnce() -> Result<String>) -> Result<String> {
    println!("\n{}", paint(BOLD, &format!("== {title}")));
    play().with_context(|| format!("the demo failed in the scene `{title}`"))
}

/// A sentence.
pub fn say(text: &str) {
    println!("  {text}");
}

/// A sentence after an empty line.
pub fn say_apart(text: &str) {
    println!("\n  {text}");
}

/// Runs `lb` in the balancer's namespace, and shows the command and what it printed.
pub fn lb(lab: &Lab, arguments: &[&str]) -> Result<()> {
    show_command(arguments);
    show_output(&lab.balancer.lb_ok(arguments)?);
    Ok(())
}

/// Runs an `lb` that has to fail with an exit code, and shows the command and what it said.
pub fn lb_fails(lab: &Lab, arguments: &[&str], code: i32) -> Result<()> {
    show_command(arguments);
    let output = lab.balancer.lb(arguments)?;
    show_output(&output.stderr);
    if output.code != Some(code) {
        let shown = arguments.join(" ");
        bail!("`lb {shown}` exited with {:?}, not with {code}", output.code);
    }
    say(&format!("(exit code {code})"));
    Ok(())
}

/// Shows a command without running it.
pub fn show_command(arguments: &[&str]) {
    let command = format!("balancer$ lb {}", arguments.join(" "));
    println!("\n  {}", paint(CYAN, &command));
}

fn show_output(printed: &str) {
    for line in printed.lines() {
        say(line);
    }
}

/// What was proved, a line each, and how long it took.
pub fn summary(proved: &[String], took: Duration) {
    println!("\n{}", paint(BOLD, "== In short"));
    for line in proved {
        say(&format!("- {line}"));
    }
    println!("\nAll of it happened, in {:.0} s.", took.as_secs_f64());
}

/// How to enter a lab that stays.
pub fn how_to_enter(lab: &Lab) -> Result<()> {
    println!("\n{}", paint(BOLD, "== It stays. How to look around"));
    say("On the balancer, for `lb` to find its daemon:");
    for (variable, path) in lab.balancer.environment() {
        println!("    export {variable}={}", path.display());
    }
    let enter = |netns: &lb_lab::Netns| format!("nsenter --net={}", netns.path().display());
    let balancer = enter(lab.balancer.netns());
    println!("    {balancer} {} status", program::lb()?.display());
    say("A request, and a shell on each host (the last is the bridge):");
    let client = enter(lab.client.netns());
    if program::find("curl").is_some() {
        println!("    {client} curl {}", lab.url("/"));
    }
    let servers = lab.servers.iter().map(|server| enter(server.netns()));
    for enter in [client, balancer].into_iter().chain(servers) {
        println!("    {enter} bash");
    }
    println!("    {} bash", enter(lab.fabric()));
    say("`cargo xtask demo --clear` removes it, and so does the next demo.");
    Ok(())
}

/// Text in a colour or weight, where it can be seen and is wanted.
fn paint(code: &str, text: &str) -> String {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_unwanted || !std::io::stdout().is_terminal() {
        return text.to_owned();
    }
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
