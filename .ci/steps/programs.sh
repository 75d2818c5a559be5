# Check steps that compile and run C and C++ programs against the libraries. Sourced by .ci/check.

step_tests_c() {
    [ -x tests-c/run.sh ] || skip "there is no tests-c/run.sh"
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/run.sh "$BUILD/tests-c"
}

step_tests_cpp() {
    [ -x tests-c/cpp/run.sh ] || skip "there is no tests-c/cpp/run.sh"
    ! grep -q 'cpp/run.sh' tests-c/run.sh || skip "tests-c runs it"
    need "$CXX"
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/cpp/run.sh "$BUILD/tests-cpp"
}

# AddressSanitizer and memcheck must see what clients do, and nothing else.
step_tests_tools() {
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/tools/run.sh "$BUILD/tests-tools"
}

# The thread programs against a library that ThreadSanitizer sees into. (Without it they are part of tests-c.)
step_tsan() {
    local status=0 library=$TARGET/tsan/libvmma-tsan.a
    tests-c/tsan-lib.sh "$TARGET/tsan" "$library" >"$work/tsan" 2>&1 || status=$?
    cat "$work/tsan"
    [ $status != 77 ] || skip "$(sed -n 's/^skipped: .*(\(.*\))$/\1/p' "$work/tsan")"
    [ $status = 0 ] || return 1
    libs
    VT_MODES=tsan VMMA_TSAN_LIB=$library VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB \
        VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/run.sh "$BUILD/tsan" threads
}

step_examples() {
    [ -e examples/Makefile ] || skip "there is no examples/Makefile"
    libs
    make -s -C examples check OUT="$BUILD/examples" INCLUDE="$PWD/include" LIBDIR="$OUTLIB"
}

# What the pages print must compile as printed, and their commands must do what they say.
step_docs() {
    [ -x tests-c/docs_check.sh ] || skip "there is no tests-c/docs_check.sh"
    libs
    VMMA_INCLUDE=$PWD/include VMMA_SHARED_DIR=$OUTLIB VMMA_STATIC_LIB=$OUTLIB/libvmma.a tests-c/docs_check.sh
}
