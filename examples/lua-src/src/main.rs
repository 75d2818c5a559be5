//! Compiles Lua 5.4 as a static library: `vmma-lua OUT_DIR TARGET` leaves `OUT_DIR/include` and
//! `OUT_DIR/lib`. It knows the lua-src crate and nothing of libvmma.

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(out), Some(target), None) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: vmma-lua OUT_DIR TARGET");
        std::process::exit(2);
    };
    let built = lua_src::Build::new()
        .out_dir(out)
        .target(&target)
        .host(&target)
        .opt_level("2")
        .debug(false)
        .try_build(lua_src::Lua54);
    if let Err(error) = built {
        eprintln!("vmma-lua: {error}");
        std::process::exit(1);
    }
}
