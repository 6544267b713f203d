//! Using things up: processes, memory, descriptors, disk. Each goes past its limit by a bounded amount and gives all back.

use std::fs::{self, File};
use std::io::{self, Write as _};

use camino::Utf8Path;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::Targets;
use super::attempt::{Attempt, Told};
use crate::fork::{Side, fork, leave};

const MIB: u64 = 1 << 20;

pub(super) fn attempts(targets: &Targets) -> Vec<Attempt<'_>> {
    let limits = &targets.limits;
    let mut all = Vec::new();
    for tmpfs in &targets.tmpfs {
        let file = tmpfs.target.join(".portcullis-probe");
        let run = move || fill_directory(&file, tmpfs.bytes + MIB, limits.file_bytes);
        all.push(Attempt::new(format!("fill {} past its size", tmpfs.target), run));
    }
    all.push(Attempt::new("start more processes than the limit", || start(limits.processes)));
    all.push(Attempt::new("open more descriptors than the limit", || open(limits.open_files)));
    all.push(Attempt::new("write a file longer than the limit", || match limits.file_bytes {
        Some(most) => write_long(&targets.workspace.join(".portcullis-probe"), most + MIB),
        None => Told::not_applicable("there is no limit"),
    }));
    all.push(Attempt::new("write a file in memory longer than the limit", || match limits.file_bytes {
        Some(most) => match memfd_create("probe", MemfdFlags::CLOEXEC) {
            Ok(file) => write_bytes(&mut File::from(file), most + MIB),
            Err(error) => Told::refused(error),
        },
        None => Told::not_applicable("there is no limit"),
    }));
    all.push(Attempt::new("use more memory than the limit", || match limits.memory_bytes {
        Some(most) => allocate(most + 64 * MIB),
        None => Told::not_applicable("there is no limit"),
    }));
    all
}

/// With several files, as one may be as long as the limit on files only.
fn fill_directory(path: &Utf8Path, bytes: u64, most_in_one: Option<u64>) -> Told {
    let part = most_in_one.unwrap_or(bytes).min(bytes).max(1);
    let files = bytes.div_ceil(part);
    let mut told = Told::allowed("all of it was written");
    let mut made = Vec::new();
    for number in 0..files {
        let path = path.with_extension(number.to_string());
        let written = File::create(&path).and_then(|mut file| write_all(&mut file, part));
        made.push(path);
        if let Err(error) = written {
            told = Told::refused(error);
            break;
        }
    }
    for path in made {
        let _ = fs::remove_file(path);
    }
    told
}

fn write_long(path: &Utf8Path, bytes: u64) -> Told {
    match File::create(path) {
        // The signal for a file that is too long ends this process, so nobody removes the file afterwards; it has no name.
        Ok(mut file) => {
            let _ = fs::remove_file(path);
            write_bytes(&mut file, bytes)
        }
        Err(error) => Told::not_applicable(format!("no file can be made: {error}")),
    }
}

fn write_bytes(file: &mut File, bytes: u64) -> Told {
    Told::of(write_all(file, bytes))
}

fn write_all(file: &mut File, bytes: u64) -> io::Result<()> {
    let block = block();
    for _ in 0..bytes.div_ceil(MIB) {
        file.write_all(&block)?;
    }
    Ok(())
}

fn block() -> Vec<u8> {
    vec![b'x'; usize::try_from(MIB).expect("a small number")]
}

fn open(most: u64) -> Told {
    let mut open = Vec::new();
    for _ in 0..=most {
        match File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) => return Told::refused(error),
        }
    }
    Told::allowed(format!("{} are open", open.len()))
}

/// Where the limit is the user's, it stands above what the user had when the cell began, which cannot be seen from inside.
fn start(most: u64) -> Told {
    let bound = most + 1024;
    let mut children: Vec<Pid> = Vec::new();
    let mut told = Told::allowed(format!("{bound} were started"));
    for _ in 0..bound {
        match fork() {
            Ok(Side::Child) => wait_to_be_killed(),
            Ok(Side::Parent { child }) => children.push(child),
            Err(error) => {
                told = Told::refused(error);
                break;
            }
        }
    }
    for child in &children {
        let _ = kill_process(*child, Signal::KILL);
    }
    for child in children {
        let _ = waitpid(Some(child), WaitOptions::empty());
    }
    told
}

/// Or until its clock runs out, if its parent dies before.
fn wait_to_be_killed() -> ! {
    // SAFETY: it only starts a clock; the signal ends this process.
    unsafe { libc::alarm(30) };
    // SAFETY: it only waits.
    unsafe { libc::pause() };
    leave(0)
}

fn allocate(bytes: u64) -> Told {
    // When memory runs out for all in the cell, the kernel kills this process and not the one that has to tell.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    let written = block();
    for _ in 0..bytes.div_ceil(MIB) {
        let mut block = Vec::new();
        if block.try_reserve_exact(written.len()).is_err() {
            return Told::refused("there is no more memory");
        }
        // Memory that is only promised costs nothing.
        block.extend_from_slice(&written);
        blocks.push(block);
    }
    Told::allowed(format!("{} MiB are used", blocks.len()))
}
