//! Empty on purpose: this package only tells cargo which archives to fetch (see Cargo.toml).
