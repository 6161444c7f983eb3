//! What the daemon says of itself.

use anyhow::{Context as _, Result};
use lb_lab::{Balancer, wait_until};
use serde_json::Value;

use super::PATIENCE;

/// What a verb answers with `-o json`.
pub fn json(balancer: &Balancer, words: &[&str]) -> Result<Value> {
    let words = [words, &["-o", "json"]].concat();
    let text = balancer.lb_ok(&words)?;
    serde_json::from_str(&text).with_context(|| format!("`lb {}` wrote: {text}", words.join(" ")))
}

/// The number at `pointer` in what a verb answers.
pub fn number(balancer: &Balancer, words: &[&str], pointer: &str) -> Result<u64> {
    let answer = json(balancer, words)?;
    let number = answer.pointer(pointer).and_then(Value::as_u64);
    number.with_context(|| format!("`lb {}` has no number at {pointer}: {answer}", words.join(" ")))
}

/// Waits until `lb show` says of a service, or of `SERVICE/BACKEND`, what is looked for.
pub fn wait_for(balancer: &Balancer, target: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    let waited = wait_until(&format!("{target}: {what}"), PATIENCE, || {
        last = json(balancer, &["show", target])?;
        Ok(is_so(&last).then(|| last.clone()))
    });
    waited.with_context(|| {
        format!(
            "lb show {target} said last: {last}\nthe daemon said: {}",
            balancer.log()
        )
    })
}

/// Waits until a backend's health is `up` or `down`.
pub fn wait_for_health(balancer: &Balancer, backend: &str, health: &str) -> Result<Value> {
    wait_for(balancer, backend, &format!("is {health}"), |shown| {
        shown["health"] == health
    })
}

/// Waits until every backend of a service takes flows. A service is `ok` before that: with one that does, and none down.
pub fn wait_until_all_take_flows(balancer: &Balancer, service: &str) -> Result<Value> {
    wait_for(balancer, service, "all take flows", |shown| {
        let backends = shown["backends"].as_array();
        backends.is_some_and(|backends| backends.iter().all(|backend| backend["out_because"].is_null()))
    })
}

/// Waits for a line in the daemon's log, after the first `from` bytes of it.
pub fn wait_for_line(balancer: &Balancer, from: usize, what: &str) -> Result<String> {
    let waited = wait_until(&format!("the daemon's log says `{what}`"), PATIENCE, || {
        let log = balancer.log();
        let new = log.get(from..).unwrap_or_default();
        Ok(new.lines().find(|line| line.contains(what)).map(str::to_owned))
    });
    waited.with_context(|| format!("the daemon said: {}", balancer.log()))
}

/// Packets that were dropped or passed for a reason.
pub fn packets(balancer: &Balancer, reason: &str) -> Result<u64> {
    let reasons = json(balancer, &["drops"])?;
    let counts = reasons.as_array().context("lb drops gives no list")?;
    let found = counts.iter().find(|count| count["reason"] == reason);
    let packets = found.and_then(|count| count["packets"].as_u64());
    packets.with_context(|| format!("lb drops has no reason {reason}"))
}

/// Packets that were dropped, by reason, where there are any.
pub fn dropped(balancer: &Balancer) -> Result<Vec<(String, u64)>> {
    let reasons = json(balancer, &["drops"])?;
    let counts = reasons.as_array().context("lb drops gives no list")?;
    let dropped = counts.iter().filter(|count| count["verdict"] == "drop");
    let counted = dropped.filter_map(|count| Some((count["reason"].as_str()?.to_owned(), count["packets"].as_u64()?)));
    Ok(counted.filter(|(_, packets)| *packets > 0).collect())
}
