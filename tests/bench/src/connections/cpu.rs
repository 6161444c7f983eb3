//! CPU time of tasks, on which CPU they run, and before whom.
//!
//! The kernel's *task clock* runs while a task is on a CPU, whatever is done there meanwhile: the network's work (softirq) that is
//! done in the middle of a task counts, which a process's own times leave out where the kernel accounts for interrupts apart.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;
use rustix::thread::CpuSet;

/// Clocks of some tasks, read as their sum.
#[derive(Default)]
pub struct Clocks(Vec<File>);

impl Clocks {
    /// Of this thread alone.
    ///
    /// # Errors
    ///
    /// The kernel gives no task clocks.
    pub fn of_this_thread() -> Result<Self> {
        Ok(Self(vec![task_clock(0)?]))
    }

    /// Of every thread of these processes, and those that they start from now on.
    ///
    /// # Errors
    ///
    /// A process has ended, or the kernel gives no task clocks.
    pub fn of_processes(ids: &[u32]) -> Result<Self> {
        let mut clocks = Vec::new();
        for id in ids {
            for task in threads(*id)? {
                clocks.push(task_clock(task)?);
            }
        }
        Ok(Self(clocks))
    }

    /// Of the kernel's threads that do the network's work when there is much of it.
    ///
    /// # Errors
    ///
    /// The kernel gives no task clocks.
    pub fn of_softirq_threads() -> Result<Self> {
        let is_one = |id: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{id}/comm"));
            name.is_ok_and(|name| name.starts_with("ksoftirqd/"))
        };
        let ids: Vec<u32> = numbers_in(Path::new("/proc"))?.into_iter().filter(is_one).collect();
        Self::of_processes(&ids)
    }

    /// What the tasks have used since their clocks were made.
    ///
    /// # Errors
    ///
    /// A clock cannot be read.
    pub fn read(&self) -> Result<Duration> {
        let mut sum = 0;
        for mut clock in &self.0 {
            let mut nanoseconds = [0; 8];
            clock.read_exact(&mut nanoseconds).context("cannot read a task clock")?;
            sum += u64::from_ne_bytes(nanoseconds);
        }
        Ok(Duration::from_nanos(sum))
    }
}

/// Has a process and all its threads run on one CPU only, and there before what others run (`nice` -20).
///
/// # Errors
///
/// It has ended, or there is no such CPU.
pub fn put_first_on(process: u32, cpu: usize) -> Result<()> {
    for thread in threads(process)? {
        put_thread_first_on(Pid::from_raw(thread as i32), cpu)?;
    }
    Ok(())
}

/// The same for one thread; `None` is this one.
///
/// # Errors
///
/// It has ended, or there is no such CPU.
pub fn put_thread_first_on(thread: Option<Pid>, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(thread, &set).with_context(|| format!("cannot keep a thread on CPU {cpu}"))?;
    // Linux takes a thread's number for a process's here, and then means that thread alone.
    rustix::process::setpriority_process(thread, -20).context("cannot set a priority")
}

/// The scheduler's group of this session, which takes its turn with those of other sessions however nice its tasks are. While
/// this lives it goes before them.
pub struct SessionFirst {
    /// The group's priority before.
    before: Option<String>,
}

/// What it is called for every process of the session.
const SESSION_GROUP: &str = "/proc/self/autogroup";

impl SessionFirst {
    /// Where the kernel has no such groups nothing is done.
    ///
    /// # Errors
    ///
    /// We may not.
    pub fn new() -> Result<Self> {
        // `/autogroup-7 nice 0`
        let group = std::fs::read_to_string(SESSION_GROUP).unwrap_or_default();
        let before = group.trim().rsplit_once("nice ").map(|(_, nice)| nice.to_owned());
        if before.is_some() {
            std::fs::write(SESSION_GROUP, "-20").with_context(|| format!("cannot write {SESSION_GROUP}"))?;
        }
        Ok(Self { before })
    }
}

impl Drop for SessionFirst {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = std::fs::write(SESSION_GROUP, before)
        {
            eprintln!("cannot write {before} to {SESSION_GROUP}: {error}");
        }
    }
}

/// The threads of a process.
fn threads(process: u32) -> Result<Vec<u32>> {
    numbers_in(Path::new(&format!("/proc/{process}/task"))).with_context(|| format!("process {process} is gone"))
}

/// Names in a directory that are numbers.
fn numbers_in(directory: &Path) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let number: Option<u32> = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

/// `struct perf_event_attr` of `linux/perf_event.h`, as long as its first version was.
#[repr(C)]
#[derive(Default)]
struct EventAttributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

/// `PERF_TYPE_SOFTWARE`
const SOFTWARE: u32 = 1;
/// `PERF_COUNT_SW_TASK_CLOCK`
const TASK_CLOCK: u64 = 1;
/// The flag `inherit`: tasks that the task starts are counted with it.
const INHERIT: u64 = 1 << 1;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

/// A clock that runs while the task is on a CPU, and is read as nanoseconds; 0 is this thread.
fn task_clock(task: u32) -> Result<File> {
    let attributes = EventAttributes {
        kind: SOFTWARE,
        size: size_of::<EventAttributes>() as u32,
        config: TASK_CLOCK,
        flags: INHERIT,
        ..EventAttributes::default()
    };
    let (any_cpu, no_group): (libc::c_int, libc::c_int) = (-1, -1);
    // SAFETY: the attributes have the layout and size that the kernel is told, and live until the call returns.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            task as libc::pid_t,
            any_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    ensure!(
        fd >= 0,
        "no task clock of task {task} (perf_event_open): {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: the call has just made it, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_lab::needs_root;

    #[test]
    fn the_kernel_s_first_version_of_the_attributes() {
        assert_eq!(size_of::<EventAttributes>(), 64);
    }

    #[test]
    fn the_session_is_as_it_was_afterwards() -> Result<()> {
        needs_root!();
        let read = || std::fs::read_to_string(SESSION_GROUP).unwrap_or_default();
        let before = read();
        let first = SessionFirst::new()?;
        assert!(before.is_empty() || read().trim().ends_with("nice -20"), "{}", read());
        drop(first);
        assert_eq!(read(), before);
        Ok(())
    }

    #[test]
    fn a_clock_goes_on_while_its_thread_works_and_stands_while_it_sleeps() -> Result<()> {
        needs_root!();
        let clock = Clocks::of_this_thread()?;
        let before = clock.read()?;
        std::thread::sleep(Duration::from_millis(200));
        let slept = clock.read()?;
        assert!(slept - before < Duration::from_millis(200), "{before:?} {slept:?}");
        let mut sum = 0u64;
        while clock.read()? < slept + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        Ok(())
    }

    #[test]
    fn a_process_is_counted_with_what_it_starts() -> Result<()> {
        needs_root!();
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "read line; (while :; do :; done) & read line; kill $!"])
            .stdin(std::process::Stdio::piped())
            .spawn()?;
        let clocks = Clocks::of_processes(&[shell.id()])?;
        let mut stdin = shell.stdin.take().context("it has an input")?;
        std::io::Write::write_all(&mut stdin, b"go\n")?;
        let busy = || Ok((clocks.read()? > Duration::from_millis(50)).then_some(()));
        lb_lab::wait_until("its child was counted", Duration::from_secs(60), busy)?;
        drop(stdin);
        shell.wait()?;
        Ok(())
    }
}
