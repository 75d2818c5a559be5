//! Runs the fuzz targets without libFuzzer.
//!
//! ```text
//!   vmma-replay replay DIRECTORY                  every file DIRECTORY/TARGET/*, each must pass
//!   vmma-replay random SECONDS DIRECTORY [SEED]   random inputs and changed ones from DIRECTORY/TARGET/*
//!   vmma-replay run TARGET FILE...                the given files; stops at the first finding
//! ```
//!
//! Findings panic or crash, so inputs run in a process of their own. An input that fails is left in
//! `artifacts/` beside the corpus.
//! May know: the targets.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use vmma_ops::TARGETS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["replay", directory] => replay(Path::new(directory)),
        ["random", seconds, directory] => random(seconds, Path::new(directory), 1),
        ["random", seconds, directory, seed] => random(seconds, Path::new(directory), seed.parse().unwrap_or(1)),
        ["random-child", target, seconds, directory, seed] => random_child(target, seconds, Path::new(directory), seed),
        ["run", target, ref files @ ..] => run(target, files),
        _ => {
            eprintln!("usage: vmma-replay replay DIRECTORY | random SECONDS DIRECTORY [SEED] | run TARGET FILE...");
            ExitCode::from(2)
        }
    }
}

/// The child: says before each file that it begins.
fn run(target: &str, files: &[&str]) -> ExitCode {
    for file in files {
        let Ok(data) = fs::read(file) else {
            eprintln!("{file}: cannot be read");
            return ExitCode::FAILURE;
        };
        println!("{file}");
        vmma_ops::run(target, &data);
    }
    println!("done");
    ExitCode::SUCCESS
}

fn corpus(directory: &Path, target: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory.join(target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn replay(directory: &Path) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (target, _) in TARGETS {
        let files = corpus(directory, target);
        if files.is_empty() {
            println!("skipped: {target} (no files in {})", directory.join(target).display());
            skipped += 1;
        }
        let mut rest = &files[..];
        while !rest.is_empty() {
            // One process for all, until one fails; then another for those behind it.
            let (began, finished) = child(target, rest);
            if finished {
                passed += rest.len();
                break;
            }
            let bad = began.saturating_sub(1);
            println!("FAILED: {}", rest[bad].display());
            passed += bad;
            failed += 1;
            rest = &rest[bad + 1..];
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 || passed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs files in a process of their own: how many began, and whether all went well.
fn child(target: &str, files: &[PathBuf]) -> (usize, bool) {
    let Ok(program) = std::env::current_exe() else { return (0, false) };
    let mut command = Command::new(program);
    command.arg("run").arg(target).args(files).stdout(Stdio::piped());
    let Ok(mut process) = command.spawn() else { return (0, false) };
    let (mut began, mut done) = (0, false);
    if let Some(output) = process.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            done = line == "done";
            began += !done as usize;
        }
    }
    let well = process.wait().is_ok_and(|status| status.success());
    (began, well && done && began == files.len())
}

fn random(seconds: &str, directory: &Path, seed: u64) -> ExitCode {
    let Ok(seconds) = seconds.parse::<f64>() else {
        eprintln!("{seconds}: not a number of seconds");
        return ExitCode::from(2);
    };
    let mut findings = 0;
    for (number, (target, _)) in TARGETS.iter().enumerate() {
        let share = seconds / TARGETS.len() as f64;
        let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
        let mut command = Command::new(program);
        command
            .arg("random-child")
            .arg(target)
            .arg(share.to_string())
            .arg(directory)
            .arg((seed + number as u64).to_string());
        if !command.status().is_ok_and(|status| status.success()) {
            findings += 1;
            println!("FINDING: {target}: {}", keep(&current(directory, target)).display());
        }
    }
    println!("{} targets, {findings} findings", TARGETS.len());
    if findings > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Where the input at work is kept, so that it is there when the process is not any more.
fn current(directory: &Path, target: &str) -> PathBuf {
    directory.join("..").join("artifacts").join(format!("{target}-random"))
}

/// Bytes that the file for the input at work has: its length, and the input.
const SHARED: usize = 8 + 4096;

/// A file that is written by storing into memory: what a crashed process wrote is there, and it costs next to nothing.
fn share(path: &Path) -> Option<*mut u8> {
    let file = fs::File::create_new(path).or_else(|_| fs::OpenOptions::new().read(true).write(true).open(path));
    drop(file.ok()?);
    let file = fs::OpenOptions::new().read(true).write(true).open(path).ok()?;
    file.set_len(SHARED as u64).ok()?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping of a file that is long enough.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), SHARED, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    (start != libc::MAP_FAILED).then_some(start.cast())
}

/// Makes an input of what such a file holds, under a name that the next finding does not take.
fn keep(path: &Path) -> PathBuf {
    let Ok(data) = fs::read(path) else { return path.to_path_buf() };
    let length = data.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes) as usize);
    let input = data.get(8..8 + length).unwrap_or(&[]);
    let hash = input.iter().fold(5381u32, |hash, &byte| hash.wrapping_mul(33) ^ byte as u32);
    let kept = path.with_file_name(format!("{}-{hash:08x}", path.file_name().unwrap_or_default().to_string_lossy()));
    let _ = fs::write(&kept, input);
    let _ = fs::remove_file(path);
    kept
}

fn random_child(target: &str, seconds: &str, directory: &Path, seed: &str) -> ExitCode {
    let end = Instant::now() + Duration::from_secs_f64(seconds.parse().unwrap_or(1.0));
    let mut state: u64 = seed.parse().unwrap_or(1);
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let known: Vec<Vec<u8>> = corpus(directory, target).iter().flat_map(fs::read).collect();
    let path = current(directory, target);
    if path.parent().is_some_and(|parent| fs::create_dir_all(parent).is_err()) {
        return ExitCode::FAILURE;
    }
    let Some(shared) = share(&path) else { return ExitCode::FAILURE };
    let mut executions = 0u64;
    while Instant::now() < end {
        let mut input = match known.len() {
            0 => Vec::new(),
            count => known[next() as usize % count].clone(),
        };
        if next() % 4 == 0 {
            input.clear();
        }
        let length = next() as usize % 1500;
        while input.len() < length {
            input.push(next() as u8);
        }
        for _ in 0..next() % 16 {
            let at = next() as usize % input.len().max(1);
            if let Some(byte) = input.get_mut(at) {
                *byte = next() as u8;
            }
        }
        input.truncate(SHARED - 8);
        // SAFETY: the mapping has SHARED bytes.
        unsafe {
            shared.cast::<u64>().write_volatile(input.len() as u64);
            shared.add(8).copy_from_nonoverlapping(input.as_ptr(), input.len());
        }
        vmma_ops::run(target, &input);
        executions += 1;
    }
    let _ = fs::remove_file(&path);
    println!("{target}: {executions} random inputs passed");
    ExitCode::SUCCESS
}
