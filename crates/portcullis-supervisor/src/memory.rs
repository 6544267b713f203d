//! What a process weighs, with everything below it.

use camino::Utf8Path;

/// Resident memory of a process and of everything below it, in bytes; `None` when it is gone. Pages that several of
/// them share are counted for each.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let own = resident(pid)?;
    let mut family = vec![pid];
    let mut all: Vec<(u32, u32)> = Vec::new();
    for entry in Utf8Path::new("/proc").read_dir_utf8().ok()?.flatten() {
        let found = entry.file_name().parse().ok().and_then(|child| Some((child, parent(child)?)));
        all.extend(found);
    }
    let mut next = 0;
    while let Some(&of) = family.get(next) {
        family.extend(all.iter().filter(|(_, parent)| *parent == of).map(|(child, _)| *child));
        next += 1;
    }
    // One that ends while it is looked at weighs nothing.
    Some(own + family[1..].iter().filter_map(|&child| resident(child)).sum::<u64>())
}

fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The second field after the name, which may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Launch, Process};

    #[tokio::test]
    async fn what_is_below_counts_and_what_is_gone_does_not() {
        let launch = Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), "sleep 60 & echo; wait".to_owned()],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            cwd: "/".into(),
        };
        let mut process = Process::spawn(&launch).unwrap();
        let (_stdin, mut stdout) = process.take_stdio();
        tokio::io::AsyncReadExt::read_u8(&mut stdout).await.unwrap();
        let pid = process.pid();
        let (own, all) = (resident(pid).unwrap(), resident_bytes(pid).unwrap());
        assert!(own > 100_000 && all > own + 100_000, "{own} and {all}");
        process.kill().await;
        assert_eq!(resident_bytes(pid), None);
    }
}
