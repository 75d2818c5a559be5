//! Build script: gives the shared library its SONAME and keeps `include/libvmma.h` equal to `src/ffi.rs`.
//!
//! It may know cbindgen and the linker's options, nothing of the allocator.
//!
//! `VMMA_HEADER` says what happens to the header: `write` (the default: write it if it changed), `check` (fail if it
//! differs) or `skip` (leave it alone: for builds from a source archive, where it is shipped as it should be).

use std::{env, fs, path::Path, process};

/// The number in the SONAME. It changes when programs must be linked again.
const ABI: u32 = 0;

fn main() {
    for input in ["build.rs", "cbindgen.toml", "src/ffi.rs", "include/libvmma.h"] {
        println!("cargo::rerun-if-changed={input}");
    }
    println!("cargo::rerun-if-env-changed=VMMA_HEADER");

    // Only ELF linkers know a SONAME; -z defs shows a symbol that nobody defines when we link, not when users do. The start files
    // serve constructors and destructors of old compilers, and of those this library has none: 1.7 KiB less.
    if matches!(env::var("CARGO_CFG_TARGET_OS").as_deref(), Ok("linux" | "android" | "freebsd" | "netbsd" | "openbsd"))
    {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libvmma.so.{ABI}");
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,defs");
        println!("cargo::rustc-cdylib-link-arg=-nostartfiles");
    }

    let mode = env::var("VMMA_HEADER").unwrap_or_else(|_| "write".into());
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    match mode.as_str() {
        "skip" => {}
        "write" | "check" => header(Path::new(&root), mode == "check"),
        other => fail(&format!("VMMA_HEADER={other}: not one of write, check, skip")),
    }
}

fn header(root: &Path, check: bool) {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap_or_else(|e| fail(&e));
    let made = cbindgen::Builder::new().with_config(config).with_src(root.join("src/ffi.rs")).generate();
    let mut text = Vec::new();
    match made {
        Ok(bindings) => bindings.write(&mut text),
        // rustc tells more about a syntax error than we could.
        Err(e) if !check => return println!("cargo::warning=header not made: {e}"),
        Err(e) => fail(&e.to_string()),
    }
    let text = mend(&String::from_utf8(text).expect("cbindgen writes UTF-8"));
    let path = root.join("include/libvmma.h");
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return;
    }
    if check {
        fail("include/libvmma.h differs from src/ffi.rs: run `make header` and commit it");
    }
    // A read-only source tree (a package cache) is no reason to fail: what it holds was checked before it was shipped.
    let written = fs::create_dir_all(root.join("include")).and_then(|()| fs::write(&path, &text));
    if let Err(e) = written {
        println!("cargo::warning=include/libvmma.h not written: {e}");
    }
}

/// Says in C90 and C++98 what cbindgen says in newer C, and makes the flags unsigned.
fn mend(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim_end();
        if line.starts_with('}')
            && let Some(last) = out.last_mut().filter(|l| l.ends_with(','))
        {
            last.pop();
        }
        let line = match line.split_once("  // ").or_else(|| line.split_once(" // ")) {
            Some((code, comment)) if !line.trim_start().starts_with('*') => format!("{code} /* {comment} */"),
            _ => line.to_string(),
        };
        out.push(flag(&line).or_else(|| version(&line)).unwrap_or_else(|| wrap(&line)));
    }
    // cbindgen ends the guard in front of the trailer.
    if let Some(guard) = out.iter().position(|line| line.starts_with("#endif") && line.contains("LIBVMMA_H")) {
        out.drain(guard..=guard + 1);
        out.push("\n#endif /* LIBVMMA_H */".into());
    }
    one_line_comments(&out).join("\n") + "\n"
}

/// A comment of one line takes one line.
fn one_line_comments(lines: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        match &lines[i..] {
            [open, text, close, ..]
                if open.trim() == "/**" && close.trim() == "*/" && open.len() + text.trim().len() < 104 =>
            {
                out.push(format!("{open}{} */", text.trim().trim_start_matches('*')));
                i += 3;
            }
            [line, ..] => {
                out.push(line.clone());
                i += 1;
            }
            [] => break,
        }
    }
    out
}

/// `#define VMMA_FLAG_ZERO 4` -> `#define VMMA_FLAG_ZERO 0x0004U`
fn flag(line: &str) -> Option<String> {
    let (name, value) = line.strip_prefix("#define VMMA_FLAG_")?.split_once(' ')?;
    let value: u32 = value.parse().ok()?;
    Some(format!("#define VMMA_FLAG_{name} 0x{value:04X}U"))
}

/// A prototype that is too wide goes on below its first parameter.
fn wrap(line: &str) -> String {
    let Some(open) = line.rfind('(').filter(|_| line.len() > 100 && line.ends_with(");")) else { return line.into() };
    let (mut out, mut width) = (String::new(), 0);
    for word in line.split_inclusive(", ") {
        if width + word.trim_end().len() > 100 {
            out.truncate(out.trim_end().len());
            out += &format!("\n{:1$}", "", open + 1);
            width = open + 1;
        }
        out += word;
        width += word.len();
    }
    out
}

/// The version macro in the plain form that programs and scripts expect.
fn version(line: &str) -> Option<String> {
    let body = "((VMMA_VERSION_MAJOR << 16) | (VMMA_VERSION_MINOR << 8) | VMMA_VERSION_PATCH)";
    line.starts_with("#define VMMA_VERSION ").then(|| format!("#define VMMA_VERSION {body}"))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    process::exit(1);
}
