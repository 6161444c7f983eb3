//! Waiting for what announces itself by no event.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::interrupt;

/// How long something that is waited for is left alone between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `is_so` finds something, or fails, or `limit` is over, or a signal ends it; returns what it found.
pub fn wait_until<T>(what: &str, limit: Duration, mut is_so: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = is_so().with_context(|| format!("waiting until {what}"))? {
            return Ok(found);
        }
        interrupt::check()?;
        if Instant::now() >= deadline {
            bail!("waited {:.1} s until {what}, in vain", limit.as_secs_f64());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_no_longer_than_it_must() {
        let mut looks = 0;
        let third_look = || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        };
        let limit = Duration::from_secs(60);
        assert_eq!(wait_until("three", limit, third_look).unwrap(), 3);
        let never = wait_until("never", Duration::ZERO, || Ok(None::<()>));
        assert!(never.unwrap_err().to_string().contains("until never"));
        let failed = wait_until("x", limit, || Err::<Option<()>, _>(anyhow::anyhow!("broken")));
        assert!(failed.is_err());
    }
}
