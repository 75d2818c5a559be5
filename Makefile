# Build, check, install, pack. `make help` lists the targets.
# It may know cargo, the C tools and the scripts in .ci/ and packaging/. What a check step does is in .ci/check.

VERSION := $(shell sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME   = libvmma.so.0

# Where things go. The lower-case GNU names work too.
prefix      ?= /usr/local
PREFIX      ?= $(prefix)
exec_prefix ?= $(PREFIX)
libdir      ?= $(exec_prefix)/lib
includedir  ?= $(PREFIX)/include
datarootdir ?= $(PREFIX)/share
mandir      ?= $(datarootdir)/man
LIBDIR      ?= $(libdir)
INCLUDEDIR  ?= $(includedir)
MANDIR      ?= $(mandir)
DESTDIR     ?=

# With what.
CARGO      ?= cargo
CXX        ?= c++
CARGOFLAGS ?=
FEATURES   ?=
FUZZ_TIME  ?= 60
INLINE     ?= 10

# Everything that is made lies under cargo's target directory: the checkout stays clean.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
$(if $(word 3,$(TARGET) $(CURDIR)),$(error a path with spaces is more than make can: $(TARGET)))
BUILD  := $(TARGET)/vmma
OUTLIB := $(BUILD)/lib
MAN    := $(BUILD)/man
RUST_OUT := $(TARGET)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
RUST_SO  := $(RUST_OUT)/libvmma.so
RUST_A   := $(RUST_OUT)/libvmma.a

# What the scripts are told. Plain names such as TARGET mean something else to build scripts of crates.
export CARGO CC CXX AR
SCRIPT = VMMA_VERSION=$(VERSION) VMMA_BUILD=$(BUILD) VMMA_LIB=$(OUTLIB) VMMA_MAN=$(MAN)
PLACES = DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" MANDIR="$(MANDIR)"

.PHONY: all lib header man check demo bench fuzz install uninstall dist deb compat clean help rust

all: lib man

## make              the libraries in target/vmma/lib, the header and the man pages
lib: $(OUTLIB)/libvmma.so $(OUTLIB)/libvmma.a

# Cargo knows best what is out of date. Without the rlib in the list LTO really applies. Functions that are not marked for
# it are inlined only where that makes the caller smaller: it keeps the library small at a level that is fast.
# `sudo make install` often has no cargo in its path: it takes what was built before.
HAVE_CARGO = $(shell command -v $(firstword $(CARGO)) 2>/dev/null)
HAVE_BUILT = $(and $(wildcard $(RUST_SO)),$(wildcard $(RUST_A)))
rust:
ifeq ($(and $(HAVE_BUILT),$(if $(HAVE_CARGO),,none)),)
	$(CARGO) rustc --release --lib --crate-type cdylib,staticlib $(CARGOFLAGS) \
	    $(if $(FEATURES),--no-default-features --features "$(FEATURES)") -- -C llvm-args=-inline-threshold=$(INLINE)
else
	@echo "$(firstword $(CARGO)) is not in the path: the libraries as they were built before"
endif

$(RUST_SO) $(RUST_A): rust ;

$(OUTLIB)/libvmma.so: $(RUST_SO)
	@mkdir -p $(OUTLIB)
	@cmp -s $< $(OUTLIB)/libvmma.so.$(VERSION) || { rm -f $(OUTLIB)/libvmma.so*; cp $< $(OUTLIB)/libvmma.so.$(VERSION); }
	@ln -sf libvmma.so.$(VERSION) $(OUTLIB)/$(SONAME)
	@ln -sf $(SONAME) $@

# Cargo puts all of Rust's core into the archive; our own object needs none of it, and without it two such
# archives can be linked into one program.
$(OUTLIB)/libvmma.a: $(RUST_A)
	@mkdir -p $(OUTLIB)
	@packaging/own-objects.sh $< $@

## make header       include/libvmma.h from src/ffi.rs (every build does it)
header:
	VMMA_HEADER=write $(CARGO) check --release --lib --quiet $(CARGOFLAGS)

man: $(MAN)/.made

$(MAN)/.made: include/libvmma.h CHANGELOG.md Cargo.toml $(wildcard packaging/man/*)
	@$(SCRIPT) packaging/man/make.sh include/libvmma.h $(MAN)
	@touch $@

## make check        every check, one line each; make check-NAME for one; make check-list for the names
check:
	@.ci/check all

check-%:
	@.ci/check $*

## make demo         real Lua programs as clients of one context
demo: lib
	@$(MAKE) --no-print-directory -C examples demo OUT=$(BUILD)/examples INCLUDE=$(abspath include) LIBDIR=$(OUTLIB) MAP=$(CURDIR)/demo-map.svg

## make bench        the benchmarks; the report goes to docs/performance/
bench: lib
	@$(MAKE) --no-print-directory -C benches all LIB=$(OUTLIB)/libvmma.so INCLUDE=$(abspath include) B=$(BUILD)/bench

## make fuzz         fuzz for FUZZ_TIME seconds (60)
fuzz:
	@fuzz/run.sh $(FUZZ_TIME)

## make install      to PREFIX (/usr/local); also DESTDIR LIBDIR INCLUDEDIR MANDIR
install: all
	@$(SCRIPT) $(PLACES) packaging/install.sh install

## make uninstall    the same, with the same variables
uninstall:
	@$(SCRIPT) $(PLACES) packaging/install.sh uninstall

## make dist         a source archive in target/vmma; builds offline after `cargo vendor`
dist:
	@$(SCRIPT) packaging/dist.sh

## make deb          Debian packages libvmma0 and libvmma-dev in target/vmma/deb
deb:
	@$(SCRIPT) packaging/deb.sh

## make compat       HEADER=libvmma.h [LIB=libvmma.so]: what differs between another libvmma and this one
compat: lib
	@test -n "$(HEADER)" || { echo 'usage: make compat HEADER=/path/to/libvmma.h [LIB=/path/to/libvmma.so]'; exit 2; }
	@$(SCRIPT) packaging/compat.sh "$(HEADER)" $(if $(LIB),"$(LIB)")

## make clean        removes what was made
clean:
	$(CARGO) clean
	rm -rf "$(BUILD)"

help:
	@sed -n 's/^## //p' Makefile
