//! Saying things, and running `lb` where it can be seen.

use anyhow::Result;
use lb_lab::{Lab, program};

/// The heading of a scene.
pub fn title(text: &str) {
    println!("\n== {text}");
}

/// A sentence.
pub fn say(text: &str) {
    println!("  {text}");
}

/// Runs `lb` in the balancer's namespace, and shows the command and what it printed.
pub fn lb(lab: &Lab, arguments: &[&str]) -> Result<()> {
    println!("\n  balancer$ lb {}", arguments.join(" "));
    let printed = lab.balancer.lb_ok(arguments)?;
    for line in printed.lines() {
        println!("  {line}");
    }
    Ok(())
}

/// How to enter a lab that stays.
pub fn how_to_enter(lab: &Lab) -> Result<()> {
    title("It stays. How to look around");
    for (variable, path) in lab.balancer.environment() {
        println!("  export {variable}={}", path.display());
    }
    let enter = |netns: &lb_lab::Netns| format!("nsenter --net={}", netns.path().display());
    let balancer = enter(lab.balancer.netns());
    println!("  {balancer} {} status", program::lb()?.display());
    println!("  {balancer} bash");
    println!("  {} curl {}", enter(lab.client.netns()), lab.url("/"));
    for server in &lab.servers {
        println!("  {} bash", enter(server.netns()));
    }
    println!("  {} bash    # the bridge", enter(lab.fabric()));
    say("The next `cargo xtask demo` removes it.");
    Ok(())
}
